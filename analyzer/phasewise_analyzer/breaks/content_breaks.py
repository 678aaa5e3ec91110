"""Find the prompts that part from the one they should have gone on from."""

from collections.abc import Iterator, Mapping
from itertools import takewhile

import numpy as np
from phasewise_store.store import Store

from phasewise_analyzer.breaks.compared import Compared
from phasewise_analyzer.breaks.facts import Break
from phasewise_analyzer.breaks.prompts import Pair, Prompt, Prompts
from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.across import diagnose_across
from phasewise_analyzer.diagnosis.diagnose import Diagnosis, diagnose

Found = tuple[int, Break]
"""row of the call, and its break"""


def find(store: Store, compared: Compared) -> list[Found]:
    """Return the breaks of the calls in scope, one a call, in order of arrival."""
    prompts = Prompts(store, compared.segments, compared.block_tokens)
    found = {
        row: one
        for of in (_of_forks, _of_templates, _of_streams)
        for row, one in store.precedence.between(of(compared, prompts))
    }
    return sorted(found.items())


def _of_streams(compared: Compared, prompts: Prompts) -> Iterator[Found]:
    """Return the calls whose prompt does not go on where the call before it ended."""
    wanted: dict[tuple[int, int], int] = {}
    for row in np.flatnonzero(compared.previous >= 0).tolist():
        lost = compared.broken(row, compared.expected(row) - int(compared.shared[row]))
        if lost < compared.least(row):
            continue
        previous = int(compared.previous[row])
        call, other = compared.rows[row], compared.rows[previous]
        if _model(call) != _model(other) and compared.with_previous[row] > compared.shared[row]:
            start = compared.known(row)
            yield (
                row,
                compared.made(row, previous, causes.MODEL, lost=lost, start=start, place="model"),
            )
        elif not compared.goes_on[row]:
            nearest = int(compared.nearest[row])
            closer = nearest >= 0 and compared.shared[row] > compared.with_previous[row]
            wanted[nearest if closer else previous, row] = lost
    for (against, row), old, new in prompts.pairs(wanted):
        found = diagnose(old, new)
        if found is not None and not _begins_anew(old, found):
            expected = compared.expected(row)
            yield row, _made(compared, (against, row), found, expected, wanted[against, row])


def _of_templates(compared: Compared, prompts: Prompts) -> Iterator[Found]:
    """Return first calls of streams whose tools or system prompt differ from the last stream's."""
    template = compared.template
    text = compared.block_tokens == 0
    wanted = [(int(template[row]), row) for row in np.flatnonzero((template >= 0) & text).tolist()]
    for (against, row), old, new in prompts.pairs(wanted):
        fixed = [[one for one in prompt if one.kind in ("tool", "system")] for prompt in (old, new)]
        sizes = [sum(one.tokens for one in part) for part in fixed]
        whole = sum(one.tokens for one in new)
        if not whole or not min(sizes):
            continue
        expected = min(sizes) * int(compared.whole[row]) // whole
        lost = compared.broken(row, expected - int(compared.shared[row]))
        found = diagnose_across(*fixed) if lost >= compared.least(row) else None
        if found is not None:
            yield row, _made(compared, (against, row), found, expected, lost)


def _of_forks(compared: Compared, prompts: Prompts) -> Iterator[Found]:
    """Return first calls of sub-agents that were given what their parent had, in another order."""
    parent = compared.parent
    text = compared.block_tokens == 0
    wanted = [(int(parent[row]), row) for row in np.flatnonzero((parent >= 0) & text).tolist()]
    for (against, row), old, new in prompts.pairs(wanted):
        found = diagnose_across(old, new)
        if found is None or found.cause is not causes.FORKED:
            continue
        whole = sum(one.tokens for one in new)
        again = found.realigned_tokens * int(compared.whole[row]) // max(1, whole)
        expected = int(compared.shared[row]) + again
        lost = compared.broken(row, again)
        if lost >= compared.least(row):
            yield row, _made(compared, (against, row), found, expected, lost)


def _made(
    compared: Compared, pair: Pair, found: Diagnosis, expected_tokens: int, lost_tokens: int
) -> Break:
    against, row = pair
    return compared.made(
        row,
        against,
        found.cause,
        tier=found.tier,
        place=found.place,
        before=found.before,
        after=found.after,
        expected_tokens=expected_tokens,
        lost=lost_tokens,
        start=compared.known(row),
    )


def _begins_anew(old: Prompt, found: Diagnosis) -> bool:
    """Say whether the agent has begun another conversation: nothing of the first one comes back."""
    fixed = sum(1 for _ in takewhile(lambda one: one.kind in ("tool", "system"), old))
    return (
        found.cause in (causes.HISTORY_EDITED, causes.REWOUND)
        and found.segment == fixed
        and not found.realigned_segments
    )


def _model(call: Mapping[str, object]) -> tuple[object, object]:
    return call["provider"], call["model"]
