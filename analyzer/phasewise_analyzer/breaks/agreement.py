"""Compare our causes with the providers' own diagnoses of the same calls, if the trace has them.

Providers name the first part that differs: Anthropic the tier, OpenAI since 5.6 also settings.
Diagnoses without a cause (`unavailable`, the other call not found) are not counted.
"""

from collections.abc import Mapping, Sequence

from phasewise_analyzer.breaks.compared import Compared
from phasewise_analyzer.breaks.facts import Break
from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.causes import Cause

NO_MISS = ("cache_hit",)
TIERS: Mapping[str, str] = {
    "tools_changed": "tools",
    "system_changed": "system",
    "messages_changed": "messages",
}
CAUSES: Mapping[str, Cause] = {
    "model_changed": causes.MODEL,
    "prompt_cache_key_changed": causes.CACHE_KEY,
    "text_format_changed": causes.RESPONSE_FORMAT,
    "reasoning_effort_changed": causes.THINKING_CHANGED,
    "verbosity_changed": causes.THINKING_CHANGED,
    "context_compacted": causes.COMPACTION,
    "service_tier_changed": causes.SERVICE_TIER,
}
INPUT = "input_changed"
"""OpenAI's word for any part of the prompt but the tools"""


def score(compared: Compared, breaks: Sequence[tuple[int, Break]]) -> tuple[int, int]:
    """Count the calls of which a provider said something, and those of which we say the same."""
    ours = dict(breaks)
    said = [agrees(compared.said(row), ours.get(row)) for row in range(len(compared.rows))]
    return sum(one is not None for one in said), sum(one is True for one in said)


def agrees(said: str | None, ours: Break | None) -> bool | None:
    """Return whether we find of a call what its provider says; None where that says nothing."""
    if said is None or said not in (*NO_MISS, *TIERS, *CAUSES, INPUT):
        return None
    return _same(said, ours)


def _same(said: str, ours: Break | None) -> bool:
    if said in NO_MISS or ours is None:
        return said in NO_MISS and ours is None
    if said in CAUSES:
        return ours.cause is CAUSES[said]
    if ours.place == "model" or ours.place.startswith("after "):
        return False  # not a part of the prompt
    return said == INPUT or ours.tier == TIERS[said]
