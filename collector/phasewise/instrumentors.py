"""The instrumentors that are switched on, in order: a fixed list, for what is installed here.

Entry points are never loaded: several packages register the same name there, and a call would be
described twice.
"""

import importlib
import importlib.util
import logging
from dataclasses import dataclass

from opentelemetry.trace import TracerProvider

from phasewise import trace_context

_log = logging.getLogger("phasewise")


@dataclass(frozen=True, slots=True)
class Instrumentor:
    """One instrumented library."""

    library: str
    """the module that must be there"""
    module: str
    class_name: str
    extra: str
    """`pip install 'phasewise[EXTRA]'` brings the instrumentor"""


ALLOWED = (
    Instrumentor("openai", "openinference.instrumentation.openai", "OpenAIInstrumentor", "openai"),
)


def switch_on(provider: TracerProvider) -> None:
    """Instrument what is installed; say what could be and is not."""
    for one in ALLOWED:
        if importlib.util.find_spec(one.library) is None:
            continue
        if not _installed(one.module):
            _log.warning(
                "%s is not traced: install its instrumentor with  pip install 'phasewise[%s]'",
                one.library,
                one.extra,
            )
            continue
        instrumentor = getattr(importlib.import_module(one.module), one.class_name)()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=provider)
    trace_context.send_with_openai()


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False
