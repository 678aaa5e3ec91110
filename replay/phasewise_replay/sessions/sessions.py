"""Read recorded sessions from the store: what waits for what, how long, and the outputs.

The history of each call comes from its stored prompt, so a replay sends it as it was recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
from phasewise_store import reads
from phasewise_store.errors import UsageError
from phasewise_store.facts import Segment
from phasewise_store.scope import Scope
from phasewise_store.store import Store
from phasewise_store.trie import Trie

from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.sessions import choosing, session_graph
from phasewise_replay.sessions.recorded import Recorded, RecordedSession, RecordedStep
from phasewise_replay.sessions.scrubbing import Scrubber
from phasewise_replay.sessions.session_graph import TimedCall
from phasewise_replay.sessions.warm_start import start_late


def load(store: Store, choice: SessionChoice) -> Recorded:
    """Read the chosen sessions as recorded; raises UsageError where there is none."""
    scope = Scope(source=choice.source)
    calls = reads.llm_calls(store, scope)
    if not calls.height:
        raise UsageError(_nothing(store, choice))
    trie = reads.trie(store, scope)
    calls = calls.with_columns(leaf=pl.Series(trie.leaf))
    if choice.ids:
        calls = _named(calls, choice.ids)
    sendable = calls.filter(pl.col("leaf") >= 0)
    if not sendable.height:
        raise UsageError(
            f"nothing to replay: the {calls.height:,} calls in {calls['session_id'].n_unique():,} "
            "sessions were recorded with usage and times but without prompts.  Turn on prompt "
            "capture, or import a source that contains prompts"
        )
    if choice.max_calls is not None:
        sendable = sendable.group_by("session_id", maintain_order=True).head(choice.max_calls)
    selection = choosing.choose(sendable, choice)
    chosen = calls.filter(pl.col("session_id").is_in(selection.session_ids))
    with_prompt = sendable.filter(pl.col("session_id").is_in(selection.session_ids))
    segments = _segments(store, trie, with_prompt["leaf"].to_list())
    by_session = with_prompt.sort("step").partition_by("session_id", as_dict=True)
    chosen_calls = [(one, by_session[one,]) for one in selection.session_ids]
    found = tuple(
        RecordedSession(session_id, _steps(own, trie, segments), _provider(own))
        for session_id, own in chosen_calls
    )
    without_prompt = chosen.height - chosen.filter(pl.col("leaf") >= 0).height
    return Recorded(found, without_prompt, (selection,))


def load_for(store: Store, plan: Plan) -> Recorded:
    """Read what a plan sends: from the start of its sessions on, without their secrets."""
    recorded = load(store, plan.sessions)
    if plan.warm_start is not None:
        recorded = start_late(recorded, plan.warm_start, plan.sessions.seed)
        if not recorded.sessions:
            raise UsageError(
                f"no session has a call after the first {plan.warm_start}; choose a smaller "
                "`warm_start`, or a share of the calls such as 0.5"
            )
    return as_sent(store, plan, recorded)


def as_sent(store: Store, plan: Plan, recorded: Recorded) -> Recorded:
    """Add the answers that a plan forces, and replace secrets, in exactly the calls that it sends.

    A resumed run has only these calls, and must find the same stand-ins for them.
    """
    if plan.forced == "tokens":
        recorded = answered(store, recorded)
    return recorded if plan.sessions.keep_secrets else scrubbed(recorded, Scrubber())


def answered(store: Store, recorded: Recorded) -> Recorded:
    """Add the captured answers; raises UsageError where there are none to force.

    Of prompts that are known as hashes only, answers are made up.
    """
    calls = [step for session in recorded.sessions for step in session.steps]
    found = reads.outputs(store, [step.call_id for step in calls])
    has_text = all(one.content is not None for step in calls for one in step.prompt)
    if has_text and not any(found.values()):
        raise UsageError(
            "`forced: tokens` needs recorded answers, and no answer of these sessions was "
            "captured; `forced: lengths` needs none"
        )
    with_outputs = (
        replace(
            session,
            steps=tuple(
                replace(step, output=found.get(step.call_id, ())) for step in session.steps
            ),
        )
        for session in recorded.sessions
    )
    return replace(recorded, sessions=tuple(with_outputs))


def scrubbed(recorded: Recorded, scrubber: Scrubber) -> Recorded:
    """Replace the secrets in all prompts, and note it in how the sessions were chosen."""
    clean = scrubber.scrub(recorded.sessions)
    selections = (replace(one, secrets=scrubber.replaced()) for one in recorded.selections)
    return replace(recorded, sessions=clean, selections=tuple(selections))


def _provider(calls: pl.DataFrame) -> str | None:
    return next(iter(calls["provider"].drop_nulls().to_list()), None)


def _named(calls: pl.DataFrame, ids: Sequence[str]) -> pl.DataFrame:
    """Keep the calls of these sessions; raises UsageError where one is not there."""
    known = set(calls["session_id"].to_list())
    if missing := [one for one in ids if one not in known]:
        raise UsageError(f"no session `{missing[0]}` with calls in this database")
    return calls.filter(pl.col("session_id").is_in(list(ids)))


def _nothing(store: Store, choice: SessionChoice) -> str:
    sources = store.frame("SELECT DISTINCT name FROM sources ORDER BY name")["name"].to_list()
    if not sources:
        return "this database has no sessions to replay.  Add some with:  phasewise import PATH"
    names = ", ".join(f"`{name}`" for name in sources)
    return f"no sessions of source `{choice.source}` in this database; its sources are {names}"


def _segments(store: Store, trie: Trie, leaves: Sequence[int]) -> dict[int, Segment]:
    """Read the text of every segment on the way to these leaves, once."""
    nodes = {node for leaf in leaves for node in trie.path(leaf)}
    return reads.segments(store, {int(trie.segment[node]) for node in nodes})


def _steps(
    calls: pl.DataFrame, trie: Trie, segments: dict[int, Segment]
) -> tuple[RecordedStep, ...]:
    if not calls["started_ns"].has_nulls():
        calls = calls.sort("started_ns", maintain_order=True)  # what waits comes after
    rows = list(calls.iter_rows(named=True))
    continued = _continued(rows, trie)
    timed = [
        TimedCall(
            row["call_id"],
            row["agent_id"],
            row["parent_agent_id"],
            row["started_ns"],
            _ended_ns(row["started_ns"], row["duration_ns"]),
            continued.get(row["call_id"]),
        )
        for row in rows
    ]
    found = zip(rows, session_graph.places(timed), strict=True)
    steps = [
        RecordedStep(
            call_id=row["call_id"],
            step=row["step"],
            prompt=tuple(segments[int(trie.segment[node])] for node in trie.path(row["leaf"])),
            output_tokens=max(1, row["output_tokens"]),
            wait_ns=place.wait_ns,
            after=place.after,
        )
        for row, place in found
    ]
    return tuple(steps)


def _continued(rows: Sequence[Mapping[str, Any]], trie: Trie) -> dict[str, str]:
    """Return, by call, the call of the same agent with the longest prompt that it continues."""
    leaves: dict[tuple[str | None, int], str] = {}
    for row in rows:
        leaves.setdefault((row["agent_id"], row["leaf"]), row["call_id"])
    found: dict[str, str] = {}
    for row in rows:
        path = reversed(trie.path(row["leaf"])[:-1])
        keys = ((row["agent_id"], node) for node in path)
        call_id = next((leaves[key] for key in keys if key in leaves), None)
        if call_id is not None:
            found[row["call_id"]] = call_id
    return found


def _ended_ns(started_ns: int | None, duration_ns: int | None) -> int | None:
    return None if started_ns is None or duration_ns is None else started_ns + duration_ns
