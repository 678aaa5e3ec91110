"""What decides an analysis: another version finds something else of the same calls."""

import hashlib
from importlib import metadata, resources

from phasewise_analyzer.caches.book import Book

CODE = 3
"""to be raised with every change of what is found of a call"""


def version(book: Book) -> str:
    """Name price list, price terms, cache policies and code in one short text."""
    terms = resources.files("phasewise_analyzer").joinpath("price_terms.yaml").read_bytes()
    parts = (
        f"code {CODE}",
        f"genai-prices {metadata.version('genai-prices')}",
        f"terms {_digest(terms)}",
        f"policies {_digest(repr(book.policies).encode())}",
    )
    return ", ".join(parts)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
