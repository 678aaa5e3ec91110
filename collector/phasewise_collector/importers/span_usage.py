"""Pass the usage of an exported record on to the dialects, which read it with the shared reader."""

from collections.abc import Mapping

from phasewise_collector.dialects.usage_aliases import WHOLE_USAGE
from phasewise_collector.importers.span_values import as_text
from phasewise_collector.otlp.spans import Value
from phasewise_collector.usage.reader import usage_of

ATTRIBUTE = WHOLE_USAGE[0]


def attribute(usage: Mapping[str, object]) -> dict[str, Value]:
    """Return the attribute that holds a usage object; none where it counts nothing."""
    return {ATTRIBUTE: as_text(usage)} if usage_of(usage) is not None else {}
