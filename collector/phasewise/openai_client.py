"""Two additions to requests of the OpenAI SDK, which many frameworks send theirs with.

`traceparent`, so that the program's span and the engine's are one trace: the SDK sends none by
itself. And, only where it is asked for, `stream_options.include_usage`: without it a stream ends
without token counts. All clients, waiting or not, pass through the same two methods.
"""

from collections.abc import Callable, MutableMapping
from functools import wraps
from typing import Any

from opentelemetry import propagate, trace

_MARK = "_phasewise"

BuildHeaders = Callable[..., MutableMapping[str, str]]


def adapt(client: Any, *, include_usage: bool) -> None:  # noqa: ANN401  # openai's BaseClient
    """Change the SDK's base client; a second time changes nothing."""
    if not hasattr(client._build_headers, _MARK):
        client._build_headers = _adding_context(client._build_headers)
    if include_usage and not hasattr(client._build_request, _MARK):
        client._build_request = _asking_for_usage(client._build_request)


def _adding_context(before: BuildHeaders) -> BuildHeaders:
    @wraps(before)
    def build(*arguments: object, **options: object) -> MutableMapping[str, str]:
        headers = before(*arguments, **options)
        # a program that sets the header itself knows better
        if trace.get_current_span().is_recording() and "traceparent" not in headers:
            propagate.inject(headers)
        return headers

    setattr(build, _MARK, True)
    return build


def _asking_for_usage(before: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(before)
    def build(self: object, options: Any, *rest: object, **named: object) -> object:  # noqa: ANN401
        body = options.json_data
        asks = isinstance(body, dict) and body.get("stream") is True
        if asks and str(options.url).endswith("/chat/completions"):
            body.setdefault("stream_options", {"include_usage": True})
        return before(self, options, *rest, **named)

    setattr(build, _MARK, True)
    return build
