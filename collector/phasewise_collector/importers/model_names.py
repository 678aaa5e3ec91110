"""Find the provider of a model, by the names that `genai-prices` knows."""

from functools import cache
from urllib.parse import urlsplit

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import Provider

from phasewise_collector.usage import sellers


@cache
def provider_of(model: str) -> str | None:
    """Return the provider of a model that stands alone, or None where none is known for it."""
    try:
        return get_snapshot().find_provider(model.lower(), None, None).id
    except LookupError:
        return sellers.seller_of(model)


@cache
def provider_at(address: str, model: str | None) -> str | None:
    """Return the provider at an address, else that of the model, or None where neither is known."""
    try:
        return get_snapshot().find_provider(None, None, address).id
    except LookupError:
        return provider_of(model) if model else None


@cache
def litellm_names(model: str, base_url: str | None = None) -> tuple[str | None, str]:
    """Split a LiteLLM model name, e.g. `azure/gpt-4o`, into provider and model.

    With an address of its own, `openai/…` only says which protocol the server speaks: the
    provider is then the one known at that address, or else the address's host.
    """
    head, slash, rest = model.partition("/")
    if not slash or _provider(head) is None:
        head, rest = "", model
    if base_url:
        return _at(base_url), rest
    return (head or provider_of(rest)), rest


def _provider(name: str) -> Provider | None:
    return next((one for one in get_snapshot().providers if one.id == name), None)


def _at(base_url: str) -> str | None:
    try:
        return get_snapshot().find_provider(None, None, base_url).id
    except LookupError:
        pass
    try:
        return urlsplit(base_url).hostname
    except ValueError:
        return None
