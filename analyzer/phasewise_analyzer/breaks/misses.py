"""Find the prompts that did go on, of which the cache served less than had been sent before."""

from collections.abc import Iterable, Iterator, Mapping

from phasewise_analyzer.breaks.compared import Compared
from phasewise_analyzer.breaks.content_breaks import Found
from phasewise_analyzer.caches.predictions import Prediction, missed
from phasewise_analyzer.caches.prompt_cache import Reason
from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.diagnosis.settings import settings_changed

LEAST_SHARE = 0.05
"""of what was sent before: less not served is the edge of a block, and no miss"""

CAUSES: Mapping[Reason, Cause] = {
    "lifetime": causes.LIFETIME,
    "minimum": causes.MINIMUM,
    "no marker": causes.NO_MARKER,
    "lookback": causes.LOOKBACK,
    "in flight": causes.IN_FLIGHT,
    "settings": causes.SETTINGS,
}
"""what a rule says, as a cause; the reasons that are left out are nobody's to mend"""

_WITH_ARTICLE = {
    "user": "a user message",
    "assistant": "an answer",
    "tool": "a tool result",
    "system": "a system message",
    "block": "hashed blocks",
}


def find(compared: Compared, judged: Iterable[Prediction], broken: set[int]) -> Iterator[Found]:
    """Return the misses of calls that are not among the broken ones and say what was cached."""
    for one in judged:
        call = compared.rows[one.row]
        nearest = int(compared.nearest[one.row])
        if one.row in broken or nearest < 0 or not call["cache_reported"]:
            continue
        by_rule, beyond = missed(call, one)
        lost = by_rule + beyond
        if lost < max(compared.least(one.row), LEAST_SHARE * one.sent_before):
            continue
        cause = _cause(compared, one, nearest, by_rule >= beyond)
        if cause is not None:
            role = compared.last_role(one.row)
            # where another machine answered it does not matter what the call follows
            place = (
                "" if cause is causes.SERVED_IN_PART else f"after {_WITH_ARTICLE.get(role, role)}"
            )
            made = compared.made(
                one.row,
                nearest,
                cause,
                lost=lost,
                start=call["cache_read_tokens"],
                expected_tokens=one.sent_before,
                place=place,
            )
            yield one.row, made


def _cause(compared: Compared, judged: Prediction, nearest: int, by_rule: bool) -> Cause | None:
    if judged.served is not None and by_rule:
        cause = CAUSES.get(judged.served.reason)
    else:
        read = compared.rows[judged.row]["cache_read_tokens"]
        cause = causes.SERVED_IN_PART if read else causes.OUTSIDE
    if cause in (*causes.PROVIDER_SIDE, causes.SETTINGS):
        old, new = compared.rows[nearest], compared.rows[judged.row]
        changed = settings_changed(
            compared.request(nearest), compared.request(judged.row), old["model"], new["model"]
        )
        return changed or cause
    return cause
