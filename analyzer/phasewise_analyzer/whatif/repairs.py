"""The prompt repair for each cause of breaks, and its possible side effects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from phasewise_store.errors import UsageError

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.whatif import (
    canonical_json,
    constant_tools,
    frozen_values,
    moved_spans,
    pinned_settings,
)
from phasewise_analyzer.whatif.layout import Laid
from phasewise_analyzer.whatif.moved_spans import Places

Transform = Callable[[Sequence[Laid], Places], tuple[Laid, ...]]
"""takes the calls in order, and the places of the findings by agent; changes nothing else"""


@dataclass(frozen=True, slots=True)
class Remedy:
    """One way to lay prompts out."""

    action: str
    risk: str
    apply: Transform


MOVE = Remedy(
    "move it to the end of the last user message",
    "moving text may change how the model uses it; in a long tool loop it is as old as the"
    " message that contains it",
    moved_spans.moved,
)
FREEZE = Remedy(
    "keep the session's first version",
    "later changes do not reach the model: append them as a message",
    frozen_values.frozen,
)
SORT = Remedy(
    "sort tools by name", "models may prefer tools that come first", constant_tools.sorted_by_name
)
ALL_TOOLS = Remedy(
    "send all tools of the session in every call",
    "the model sees tools that it should not use yet: restrict them with the tool choice",
    constant_tools.constant,
)
CANONICAL = Remedy(
    "write JSON with sorted keys and without whitespace",
    "the model reads the same values in another order",
    canonical_json.canonical,
)
PIN_MODEL = Remedy(
    "use the model of the stream's first call in all calls",
    "another model responds, at another price",
    pinned_settings.model,
)
SHARD = Remedy(
    "one routing key per agent",
    "above about 15 calls per minute one key overloads its machine",
    pinned_settings.shard_key,
)
SETTINGS = Remedy(
    "keep the settings of the stream's first call",
    "calls with other settings get these instead",
    pinned_settings.settings,
)

REMEDIES: Mapping[Cause, Remedy] = {
    causes.CLOCK: MOVE,
    causes.UNIQUE_ID: MOVE,
    causes.COUNTER: MOVE,
    causes.ENVIRONMENT: MOVE,
    causes.TENANT: MOVE,
    causes.RETRIEVED: MOVE,
    causes.KEY_ORDER: CANONICAL,
    causes.WHITESPACE: CANONICAL,
    causes.REWRITTEN: CANONICAL,
    causes.TOOLS_REORDERED: SORT,
    causes.TOOL_ADDED: ALL_TOOLS,
    causes.TOOL_REMOVED: ALL_TOOLS,
    causes.TOOL_EDITED: FREEZE,
    causes.SYSTEM_EDITED: FREEZE,
    causes.MODEL: PIN_MODEL,
    causes.CACHE_KEY: SHARD,
    causes.THINKING_CHANGED: SETTINGS,
    causes.TOOL_CHOICE: SETTINGS,
    causes.SERVICE_TIER: SETTINGS,
    causes.RESPONSE_FORMAT: SETTINGS,
    causes.BETA_HEADERS: SETTINGS,
}


def chosen(names: Sequence[str]) -> frozenset[Cause]:
    """Return the causes of these names, all of them for `all`; raises UsageError."""
    by_name = {cause.name: cause for cause in REMEDIES}
    if "all" in names:
        return frozenset(by_name.values())
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise UsageError(f"no repair for `{unknown[0]}`; choose all, {', '.join(sorted(by_name))}")
    return frozenset(by_name[name] for name in names)
