"""Send `traceparent` to the engine, so that the program's span and the engine's are one trace.

The OpenAI SDK sends none by itself. All its clients, waiting or not, make the headers of a request
in one method; what it makes is added to.
"""

import importlib.util
from collections.abc import Callable, MutableMapping
from functools import wraps

from opentelemetry import propagate, trace

_MARK = "_phasewise_sends_context"

BuildHeaders = Callable[..., MutableMapping[str, str]]


def send_with_openai() -> None:
    """Make every request of the OpenAI SDK carry the current span's context."""
    if importlib.util.find_spec("openai") is None:
        return
    from openai._base_client import BaseClient  # noqa: PLC0415  # only where the SDK is there

    before: BuildHeaders = BaseClient._build_headers
    if not hasattr(before, _MARK):
        BaseClient._build_headers = _adding(before)  # type: ignore[assignment,method-assign]  # the same signature, kept by `wraps`


def _adding(before: BuildHeaders) -> BuildHeaders:
    @wraps(before)
    def build(*arguments: object, **options: object) -> MutableMapping[str, str]:
        headers = before(*arguments, **options)
        # a program that sets the header itself knows better
        if trace.get_current_span().is_recording() and "traceparent" not in headers:
            propagate.inject(headers)
        return headers

    setattr(build, _MARK, True)
    return build
