"""Assign calls without a session attribute to conversations.

A call belongs to the same conversation as an earlier call of the same program if its prompt
continues that call's prompt and response; equal first prompts alone are not enough. The links are
stored, so that the result does not depend on the order in which calls arrive.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
from phasewise_store import turns
from phasewise_store.facts import LlmCall, Source
from phasewise_store.store import Store
from phasewise_store.turns import Move, StoredTurn

from phasewise_collector import derived_tools
from phasewise_collector.dialects.derive import Derived
from phasewise_collector.dialects.turns import answer_of, turn_of
from phasewise_collector.renaming import in_sessions


@dataclass(frozen=True, slots=True)
class Placed:
    """Derived facts in the sessions of their conversations, and what that changes in the store."""

    derived: list[Derived]
    turns: list[StoredTurn]
    """those that are new or changed"""
    gone: list[str]
    """calls that are none any more"""
    moves: list[Move]
    sessions: set[str]
    """all that are touched, as they were and as they are now"""
    followed: list[StoredTurn]
    """all turns that were looked at, with the calls that they go on from"""
    before: list[StoredTurn]
    """turns of the same calls as they were stored"""
    askers: set[str]
    """calls whose tools may be told otherwise now"""


def place(
    connection: duckdb.DuckDBPyConnection,
    derived: Sequence[Derived],
    heirs: Mapping[str, str],
    gone: Iterable[str],
) -> Placed:
    """Put calls that follow each other into one session.

    `heirs` names the stored call whose content a call goes on with; `gone` are stored calls that
    these spans are no longer.
    """
    dropped = list(gone)
    calls = [(call, one) for one in derived for call in one.llm_calls]
    known = {
        turn.call_id: turn
        for turn in turns.of_calls(
            connection, [*(call.call_id for call, _ in calls), *heirs.values(), *dropped]
        )
    }
    fresh = {
        call.call_id: _turn(call, one, known.get(heirs.get(call.call_id, call.call_id)))
        for call, one in calls
    }
    changed_chains = {
        chain
        for turn in (*fresh.values(), *known.values())
        for chain in (turn.chain, turn.before)
        if chain is not None
    }
    around = turns.of_chains(connection, changed_chains) if changed_chains else []
    graph = {turn.call_id: turn for turn in around if turn.call_id not in dropped} | fresh
    followed = _followed(graph, changed_chains)
    touched = _touched(graph, followed, fresh) | {
        session for turn in known.values() for session in (turn.session_id, turn.own_session)
    }
    members = {turn.call_id: turn for turn in turns.of_sessions(connection, touched)}
    stored = members | {turn.call_id: turn for turn in around}
    settled = _settled(_with_new(members, followed, fresh, dropped))
    moved = {turn.own_session: turn.session_id for turn in settled.values()}
    changed = [turn for turn in settled.values() if stored.get(turn.call_id) != turn]
    final = followed | settled
    looked_at = [*known.values(), *(final[name] for name in fresh), *changed]
    return Placed(
        [in_sessions(one, moved) for one in derived],
        changed,
        dropped,
        _moves(changed, stored),
        touched | set(moved.values()),
        list(final.values()),
        list(known.values()),
        {name for turn in looked_at for name in (turn.call_id, turn.after_call) if name},
    )


def settle(
    store: Store, connection: duckdb.DuckDBPyConnection, placed: Placed, source: Source
) -> None:
    """Store what was found, once the facts themselves are stored."""
    turns.forget(connection, placed.gone)
    turns.save(connection, placed.turns)
    turns.move(connection, placed.moves)
    asking = turns.asking(connection, placed.askers)
    seen = turns.seen_tools(connection, {one.session_id for one in asking.values()})
    known = [
        derived_tools.tool_call_id(turn, place)
        for turn in (*placed.followed, *placed.before)
        if turn.call_id in placed.askers
        for place in range(len(turn.asked))
    ]
    calls = {call.call_id: call for one in placed.derived for call in one.llm_calls}
    tools = derived_tools.with_text(
        store, derived_tools.between(placed.followed, asking, seen), calls
    )
    turns.put_derived_tools(connection, source, known, tools)


def _turn(call: LlmCall, derived: Derived, before: StoredTurn | None) -> StoredTurn:
    """Read a call's turn; what did not come with its spans this time is as it was."""
    service = next((span.service_name for span in derived.spans if span.service_name), "")
    read = turn_of(call.prompt)
    marks, asked = answer_of(call.output)
    begun = call.started_ns or 0
    made = StoredTurn(
        call_id=call.call_id,
        own_session=call.session_id,
        named=call.session_id not in {span.trace_id for span in derived.spans},
        session_id=call.session_id,
        service=service,
        started_ns=begun,
        ended_ns=begun + (call.duration_ns or 0),
        chain=read.chain,
        system=read.system,
        marks=marks,
        asked=tuple((one.name, one.tool_id) for one in asked),
        before=read.before,
        answered=read.answered,
        results=read.results,
        after_call=None,
    )
    if before is not None and not call.prompt:
        made = replace(
            made,
            chain=before.chain,
            system=before.system,
            before=before.before,
            answered=before.answered,
            results=before.results,
        )
    if before is not None and not call.output:
        made = replace(made, marks=before.marks, asked=before.asked)
    return made


def _followed(graph: Mapping[str, StoredTurn], chains: set[int]) -> dict[str, StoredTurn]:
    """Say of each turn which call it goes on from, where its group is known whole.

    Turns that go on from equal messages are taken in the order of their start, and each takes the
    call whose answer fits best, then one that none has taken, then the latest.
    """
    made = dict(graph)
    answers: dict[tuple[str, int], list[StoredTurn]] = {}
    groups: dict[tuple[str, int], list[StoredTurn]] = {}
    for turn in graph.values():
        if turn.chain is not None:
            answers.setdefault((turn.service, turn.chain), []).append(turn)
        if turn.before is not None and turn.before in chains:
            groups.setdefault((turn.service, turn.before), []).append(turn)
    for key, following in groups.items():
        taken: set[str] = set()
        for turn in sorted(following, key=_order):
            earlier = _answered_by(turn, answers.get(key, ()), taken)
            if earlier is not None:
                taken.add(earlier.call_id)
            made[turn.call_id] = replace(
                turn, after_call=None if earlier is None else earlier.call_id
            )
    return made


def _answered_by(
    turn: StoredTurn, answers: Iterable[StoredTurn], taken: set[str]
) -> StoredTurn | None:
    wanted = set(turn.answered)
    fitting = [
        (
            len(wanted & set(one.marks)),
            one.system == turn.system,
            one.call_id not in taken,
            one.ended_ns,
            one.call_id,
            one,
        )
        for one in answers
        if one.call_id != turn.call_id
        and one.started_ns < turn.started_ns
        and one.ended_ns <= turn.started_ns + derived_tools.SLACK_NS
        and not wanted.isdisjoint(one.marks)
    ]
    return max(fitting, key=lambda fit: fit[:-1])[-1] if fitting else None


def _touched(
    graph: Mapping[str, StoredTurn],
    followed: Mapping[str, StoredTurn],
    fresh: Mapping[str, StoredTurn],
) -> set[str]:
    """Return the sessions of new turns, of those that go on from another call now, and of these."""
    touched: set[str] = set()
    for turn in followed.values():
        before = graph[turn.call_id]
        if turn.call_id in fresh or turn != before:
            touched |= {before.session_id, turn.own_session}
            if turn.after_call is not None:
                touched.add(followed[turn.after_call].session_id)
    return touched


def _with_new(
    members: Mapping[str, StoredTurn],
    followed: Mapping[str, StoredTurn],
    fresh: Mapping[str, StoredTurn],
    dropped: Iterable[str],
) -> dict[str, StoredTurn]:
    """Return the members of sessions as they are now, each with the call that it goes on from."""
    now = dict(members)
    now |= {name: turn for name, turn in followed.items() if name in members or name in fresh}
    for turn in list(now.values()):
        if turn.after_call is not None and turn.after_call in followed:
            now.setdefault(turn.after_call, followed[turn.after_call])
    for name in dropped:
        now.pop(name, None)
    return now


def _moves(changed: Iterable[StoredTurn], stored: Mapping[str, StoredTurn]) -> list[Move]:
    moves = {
        Move(turn.own_session, stored[turn.call_id].session_id, turn.session_id)
        for turn in changed
        if turn.call_id in stored and stored[turn.call_id].session_id != turn.session_id
    }
    return sorted(moves, key=lambda one: (one.own_session, one.before))


def _settled(members: Mapping[str, StoredTurn]) -> dict[str, StoredTurn]:
    """Give each turn the session of its conversation: a named one, else that of its first call."""
    up: dict[str, str] = {}
    first: dict[str, StoredTurn] = {}
    for turn in members.values():
        up.setdefault(turn.own_session, turn.own_session)
        known = first.get(turn.own_session)
        if known is None or _rank(turn) < _rank(known):
            first[turn.own_session] = turn

    def root(name: str) -> str:
        while up[name] != name:
            name = up[name]
        return name

    for turn in sorted(members.values(), key=_order):
        earlier = None if turn.after_call is None else members.get(turn.after_call)
        if earlier is None:
            continue
        left, right = root(earlier.own_session), root(turn.own_session)
        if left == right or (first[left].named and first[right].named):
            continue
        if _rank(first[right]) < _rank(first[left]):
            left, right = right, left
        up[right] = left
    return {
        name: replace(turn, session_id=root(turn.own_session)) for name, turn in members.items()
    }


def _order(turn: StoredTurn) -> tuple[int, str]:
    return turn.started_ns, turn.call_id


def _rank(turn: StoredTurn) -> tuple[bool, int, str]:
    """Order sessions: those that an attribute names come first, then the earliest."""
    return not turn.named, turn.started_ns, turn.call_id
