"""Labels of the calls inside a block, written on every span that starts there.

Labels travel in OpenTelemetry's context, so they reach threads and tasks like spans do, and apply
to the spans of every instrumentor.
"""

from collections.abc import Mapping

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

Label = str | tuple[str, ...]
_KEY = context.create_key("phasewise.labels")


def current(of: Context | None = None) -> Mapping[str, Label]:
    """Return the labels that hold in a context, by the attribute's name."""
    found = context.get_value(_KEY, of)
    return found if isinstance(found, dict) else {}


def added(labels: Mapping[str, Label]) -> Context:
    """Return the current context with more labels; an inner block's win."""
    return context.set_value(_KEY, {**current(), **labels})


class LabelProcessor(SpanProcessor):
    """Writes the labels of its context on each span as it begins."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Label the span."""
        labels = current(parent_context)
        if labels:
            span.set_attributes(labels)

    def on_end(self, span: ReadableSpan) -> None:
        """Do nothing."""

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Hold nothing back."""
        del timeout_millis
        return True
