"""Send `traceparent` to the engine, so that the program's span and the engine's are one trace.

The OpenAI SDK sends none by itself. It offers a method that sees each request before it goes out;
what was there is called first.
"""

import importlib.util
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Protocol, cast

from opentelemetry import propagate, trace


class HasHeaders(Protocol):
    """An HTTP request that is about to be sent."""

    headers: MutableMapping[str, str]


Prepare = Callable[[object, HasHeaders], None]
PrepareAsync = Callable[[object, HasHeaders], Awaitable[None]]

_MARK = "_phasewise_sends_context"


def send_with_openai() -> None:
    """Make every request of the OpenAI SDK carry the current span's context."""
    if importlib.util.find_spec("openai") is None:
        return
    from openai import _base_client  # noqa: PLC0415  # only where the SDK is there

    plain, waiting = _base_client.SyncAPIClient, _base_client.AsyncAPIClient
    if not hasattr(plain, _MARK):
        _replace(plain, _wrapped(cast("Prepare", plain._prepare_request)))
        _replace(waiting, _wrapped_async(cast("PrepareAsync", waiting._prepare_request)))


def _replace(client: type[object], prepare: Prepare | PrepareAsync) -> None:
    client._prepare_request = prepare  # type: ignore[attr-defined]  # the SDK's own hook
    setattr(client, _MARK, True)


def _wrapped(before: Prepare) -> Prepare:
    def prepare(client: object, request: HasHeaders) -> None:
        before(client, request)
        _inject(request)

    return prepare


def _wrapped_async(before: PrepareAsync) -> PrepareAsync:
    async def prepare(client: object, request: HasHeaders) -> None:
        await before(client, request)
        _inject(request)

    return prepare


def _inject(request: HasHeaders) -> None:
    """Add the headers, where a span is being recorded and the program set none itself."""
    if trace.get_current_span().is_recording() and "traceparent" not in request.headers:
        propagate.inject(request.headers)
