"""Read the labels of calls (version, customer, tags, metadata) and the outcome of a session.

Phasewise's own attribute names come first, then the equivalent names of other conventions.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson
from phasewise_store.facts import Labels, Outcome, Span

from phasewise_collector.dialects import aliases
from phasewise_collector.dialects.aliases import Attributes

VERSION = (
    "phasewise.version",
    "gen_ai.agent.version",
    "agent.version",
    "langfuse.version",
    "langfuse.release",
    "ai.telemetry.metadata.version",
    "langsmith.metadata.version",
    "langsmith.metadata.revision_id",
    "traceloop.association.properties.version",
    "service.version",
)
CUSTOMER = (
    "phasewise.customer",
    "customer.id",
    "tenant.id",
    "langfuse.trace.metadata.customer_id",
    "ai.telemetry.metadata.customerId",
    "langsmith.metadata.customer_id",
    "traceloop.association.properties.customer_id",
)
TAGS = (
    "phasewise.tags",
    "tag.tags",
    "langfuse.trace.tags",
    "langsmith.span.tags",
    "ai.telemetry.metadata.tags",
    "traceloop.association.properties.tags",
)
METADATA = ("phasewise.metadata", "metadata", "langfuse.trace.metadata", "langsmith.metadata")
"""one JSON object, or an attribute each whose name begins so"""
OUTCOME = ("phasewise.outcome", "session.outcome")
REVENUE_USD = ("phasewise.revenue_usd",)
_BEFORE_NAMES = tuple(f"{name}." for name in METADATA)
_PLUMBING = ("langgraph_", "ls_", "lc_", "checkpoint_", "__pregel", "thread_id", "session_id")
"""what frameworks put among a program's own metadata"""


def labels(nearest_first: Iterable[Span]) -> Labels:
    """Return what these spans say, each thing from the first that says it."""
    version = customer = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, object] = {}
    for span in nearest_first:
        attributes = span.attributes
        version = version or aliases.text(attributes, VERSION)
        customer = customer or aliases.text(attributes, CUSTOMER)
        tags = tags or _tags(aliases.first(attributes, TAGS))
        metadata = dict(_metadata(attributes)) | metadata
    return Labels(version, customer, tags, metadata)


def outcome(span: Span, session_id: str) -> Outcome | None:
    """Return the outcome that a span says; None for almost all."""
    said = aliases.text(span.attributes, OUTCOME)
    if said is None:
        return None
    return Outcome(
        session_id,
        said,
        aliases.number(span.attributes, REVENUE_USD),
        aliases.text(span.attributes, CUSTOMER),
        span.end_ns,
    )


def _tags(value: object) -> tuple[str, ...]:
    """Read a list, a list written as JSON, or words between commas."""
    if isinstance(value, str):
        parsed = _parsed(value)
        value = parsed if isinstance(parsed, list) else value.split(",")
    if not isinstance(value, Sequence):
        return ()
    return tuple(dict.fromkeys(str(one).strip() for one in value if str(one).strip()))


def _metadata(attributes: Attributes) -> Iterator[tuple[str, object]]:
    flat = [key for key in attributes if key.startswith(_BEFORE_NAMES)]
    for name, before in reversed(tuple(zip(METADATA, _BEFORE_NAMES, strict=True))):
        found = _parsed(attributes.get(name))
        if isinstance(found, Mapping):
            yield from ((str(key), value) for key, value in found.items() if _is_own(str(key)))
        for key in flat:
            if key.startswith(before) and _is_own(own := key.removeprefix(before)):
                yield own, attributes[key]


def _is_own(name: str) -> bool:
    return not name.startswith(_PLUMBING)


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
