"""Recognise retrieved documents: passages with sources, tags or scores."""

import re

from phasewise_store.trie import shared_length

from phasewise_analyzer.diagnosis.spans import likeness, middles

LEAST_CHARACTERS = 120
"""that differ, on the longer side; a shorter stretch is no document"""
MOST_LIKE = 0.8
"""share of words in common above which a text was edited, not exchanged"""
NEAR_CHARACTERS = 300
"""before the difference in which the sign of a document may stand"""

_TAG = re.compile(
    r"<(?:documents?|docs?|contexts?|passages?|sources?|chunks?|search_results?|retrieved\w*"
    r"|knowledge\w*|excerpts?|results?|snippets?|references?|memor(?:y|ies))\b",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"\[(?:doc(?:ument)?|source|passage|chunk|ref|\^?\d+)[^\]\n]{0,40}\]", re.IGNORECASE
)
_SPOKEN_OF = re.compile(
    r"\b(?:retrieved|relevant|supporting|background) "
    r"(?:documents?|passages?|context|chunks?|excerpts?|articles?|snippets?|information)",
    re.IGNORECASE,
)
_RATED = re.compile(
    r"\b(?:score|similarity|relevance|distance)[\"']?\s*[=:]\s*\d?\.\d+", re.IGNORECASE
)
_LINE = re.compile(
    r"\n(?:#+ *(?:retrieved|relevant|contexts?|documents?|knowledge|sources?|references?|search"
    r"|passages?|kontext|dokumente?|quellen?|contexte|documentos?|fuentes?)\b"
    r"|(?:source|document|passage|excerpt|context|doc|quelle|dokument|kontext|fuente|documento"
    r"|contexte|article|snippet|knowledge|reference|title|titel|url)\b[^\n]{0,40}[:=])",
    re.IGNORECASE,
)
_SIGNS = (
    (("<",), _TAG),
    (("[",), _NUMBERED),
    (("retrieved", "relevant", "supporting", "background"), _SPOKEN_OF),
    (("score", "similarity", "relevance", "distance"), _RATED),
)
"""what a text must hold, in small letters, for a pattern to be looked for: most texts do not"""
_IN_OTHER_SCRIPTS = ("文档", "资料", "参考", "検索結果", "문서", "документ")


def are_documents(old: str, new: str) -> bool:
    """Return whether what differs between two texts are looked-up documents."""
    before, after = middles(old, new)
    if max(len(before), len(after)) < LEAST_CHARACTERS:
        return False
    start = shared_length(old, new)
    near = old[max(0, start - NEAR_CHARACTERS) : start]
    signed = _has_sign(near) or (_has_sign(before or after) and _has_sign(after or before))
    return signed and likeness(before, after) <= MOST_LIKE


def _has_sign(text: str) -> bool:
    small = text.lower()
    return (
        any(any(map(small.__contains__, held)) and sign.search(text) for held, sign in _SIGNS)
        or _LINE.search(f"\n{text}") is not None
        or any(map(small.__contains__, _IN_OTHER_SCRIPTS))
    )
