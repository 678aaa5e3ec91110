"""Choose the sessions of a plan from the recorded calls: duplicates out, then a sampling rule."""

from collections import Counter
from collections.abc import Sequence

import polars as pl

from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.sessions import sampling
from phasewise_replay.sessions.sampling import Candidate
from phasewise_replay.sessions.selection import DRAWN, MOST_KEPT, Selection, Stratum

_USD = ("prefill_usd", "decode_usd", "other_usd")
_PICO = 10**12
"""the store keeps prices to so many parts of a dollar"""


def choose(calls: pl.DataFrame, choice: SessionChoice) -> Selection:
    """Return the sessions to replay; `calls` are those that could be sent, in recorded order.

    Sessions that the plan names are all replayed, duplicates too.
    """
    frame = calls.group_by("session_id", maintain_order=True).agg(
        pl.col("agent").first(),
        pl.col("leaf"),
        tokens=pl.col("input_tokens").sum() + pl.col("output_tokens").sum(),
        usd=pl.when(pl.col("prefill_usd").is_not_null().all()).then(
            pl.sum_horizontal(pl.col(one).fill_null(0).sum() for one in _USD)
        ),
    )
    priced = not frame["usd"].has_nulls()
    weights = [int(usd * _PICO) for usd in frame["usd"]] if priced else frame["tokens"].to_list()
    columns = zip(frame["session_id"], frame["agent"], weights, strict=True)
    everyone = [Candidate(one, agent or "-", weight) for one, agent, weight in columns]
    copies: dict[str, str] = {}
    if choice.ids:
        place = {session_id: number for number, session_id in enumerate(choice.ids)}
        candidates = sorted(everyone, key=lambda one: place[one.session_id])
        chosen = candidates[: choice.limit]
    else:
        if not choice.keep_duplicates:
            prompts = dict(zip(frame["session_id"], map(tuple, frame["leaf"]), strict=True))
            copies = duplicates(prompts, newest=choice.sample == "newest")
        candidates = [one for one in everyone if one.session_id not in copies]
        limit = choice.limit or len(candidates)
        chosen = sampling.sample(candidates, choice.sample, limit, choice.seed)
    drawn = choice.sample in DRAWN and not choice.ids
    cost = sum(one.weight for one in candidates)
    return Selection(
        rule="named" if choice.ids else choice.sample,
        seed=choice.seed if drawn else None,
        of=len(candidates),
        session_ids=tuple(one.session_id for one in chosen),
        strata=tuple(_strata(candidates, chosen)),
        cost_share=sum(one.weight for one in chosen) / cost if cost else None,
        cost_in="dollars" if priced else "tokens",
        duplicates=len(copies),
        duplicate_of=tuple(copies.items())[:MOST_KEPT],
        secrets_kept=choice.keep_secrets,
    )


def duplicates(prompts: dict[str, tuple[int, ...]], *, newest: bool) -> dict[str, str]:
    """Return the sessions whose calls have the same prompts as another, each with that one.

    The first of them stays, or the last where the newest are wanted.
    """
    stays: dict[tuple[int, ...], str] = {}
    found: dict[str, str] = {}
    for session_id in reversed(prompts) if newest else prompts:
        other = stays.setdefault(prompts[session_id], session_id)
        if other != session_id:
            found[session_id] = other
    return found


def _strata(candidates: Sequence[Candidate], chosen: Sequence[Candidate]) -> list[Stratum]:
    """Count the sessions of each agent, the agent with the most first."""
    taken = Counter(one.agent for one in chosen)
    counts = Counter(one.agent for one in candidates)
    return [Stratum(agent, count, taken[agent]) for agent, count in counts.most_common()]
