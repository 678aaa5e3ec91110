"""Find the conversations of calls that no attribute puts into a session.

A call whose prompt goes on where an earlier call's prompt and answer ended, in the same program, is
the same conversation; equal first prompts alone are none. What each call says of that is kept in
the store, so that the answer is the same however the calls arrive: only the set of calls counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
from phasewise_store import turns
from phasewise_store.facts import LlmCall, Source, ToolCall
from phasewise_store.turns import Asking, Move, SeenTool, StoredTurn

from phasewise_collector.dialects.derive import Derived
from phasewise_collector.dialects.turns import answer_of, turn_of

SLACK_NS = 50_000_000
"""an answer may be handed to the program before the span of its call is closed"""


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
    touched = {
        session for turn in known.values() for session in (turn.session_id, turn.own_session)
    }
    for turn in followed.values():
        before = graph[turn.call_id]
        if turn.call_id in fresh or turn != before:
            touched |= {before.session_id, turn.own_session}
            if turn.after_call is not None:
                touched.add(followed[turn.after_call].session_id)
    members = {turn.call_id: turn for turn in turns.of_sessions(connection, touched)}
    stored = dict(members) | {turn.call_id: turn for turn in around}
    members |= {name: turn for name, turn in followed.items() if name in members or name in fresh}
    for name in dropped:
        members.pop(name, None)
    settled = _settled(members)
    moved = {turn.own_session: turn.session_id for turn in settled.values()}
    changed = [turn for turn in settled.values() if stored.get(turn.call_id) != turn]
    moves = {
        Move(turn.own_session, stored[turn.call_id].session_id, turn.session_id)
        for turn in changed
        if turn.call_id in stored and stored[turn.call_id].session_id != turn.session_id
    }
    sessions = touched | set(moved.values())
    return Placed(
        [_renamed(one, moved) for one in derived],
        changed,
        dropped,
        sorted(moves, key=lambda one: (one.own_session, one.before)),
        sessions,
    )


def settle(connection: duckdb.DuckDBPyConnection, placed: Placed, source: Source) -> None:
    """Store what was found, once the facts themselves are stored."""
    turns.forget(connection, placed.gone)
    turns.save(connection, placed.turns)
    turns.move(connection, placed.moves)
    members = turns.of_sessions(connection, placed.sessions)
    asking = turns.asking(connection, [turn.call_id for turn in members])
    seen = turns.seen_tools(connection, placed.sessions)
    tools = _tools(members, asking, seen)
    turns.put_derived_tools(connection, source, placed.sessions, tools)


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
        and one.ended_ns <= turn.started_ns + SLACK_NS
        and not wanted.isdisjoint(one.marks)
    ]
    return max(fitting, key=lambda fit: fit[:-1])[-1] if fitting else None


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


def _renamed(derived: Derived, sessions: Mapping[str, str]) -> Derived:
    """Give the facts with the sessions of their conversations."""
    if all(name == sessions.get(name, name) for one in derived.spans if (name := one.session_id)):
        return derived

    def session(name: str) -> str:
        return sessions.get(name, name)

    def agent(agent_id: str, session_id: str) -> str:
        return session(session_id) + agent_id.removeprefix(session_id)

    calls = {
        call.call_id: replace(
            call,
            session_id=session(call.session_id),
            agent_id=agent(call.agent_id, call.session_id),
        )
        for call in derived.llm_calls
    }
    return replace(
        derived,
        sessions=tuple(
            replace(one, session_id=session(one.session_id)) for one in derived.sessions
        ),
        agents=tuple(
            replace(
                one,
                session_id=session(one.session_id),
                agent_id=agent(one.agent_id, one.session_id),
                parent_agent_id=None
                if one.parent_agent_id is None
                else agent(one.parent_agent_id, one.session_id),
            )
            for one in derived.agents
        ),
        llm_calls=tuple(calls.values()),
        tool_calls=tuple(
            replace(
                one,
                session_id=session(one.session_id),
                agent_id=agent(one.agent_id, one.session_id),
            )
            for one in derived.tool_calls
        ),
        side_calls=tuple(
            replace(
                one,
                session_id=session(one.session_id),
                agent_id=agent(one.agent_id, one.session_id),
            )
            for one in derived.side_calls
        ),
        spans=tuple(
            span
            if span.session_id is None or span.agent_id is None
            else replace(
                span,
                session_id=session(span.session_id),
                agent_id=agent(span.agent_id, span.session_id),
            )
            for span in derived.spans
        ),
        made=tuple(replace(one, call=calls[one.call.call_id]) for one in derived.made),
        outcomes=tuple(
            replace(one, session_id=session(one.session_id)) for one in derived.outcomes
        ),
    )


def _tools(
    members: Iterable[StoredTurn], asking: Mapping[str, Asking], seen: Iterable[SeenTool]
) -> list[ToolCall]:
    """Give the tool runs that no span tells of: asked for by one call, answered in the next."""
    ordered = sorted(members, key=_order)
    by_id = {turn.call_id: turn for turn in ordered}
    spans = list(seen)
    made: dict[str, ToolCall] = {}
    for turn in ordered:
        earlier = None if turn.after_call is None else by_id.get(turn.after_call)
        asker = None if earlier is None else asking.get(earlier.call_id)
        if earlier is None or asker is None:
            continue
        told = {
            _plain(one.name)
            for one in spans
            if one.session_id == asker.session_id
            and earlier.started_ns <= one.started_ns <= turn.started_ns + SLACK_NS
        }
        for place, (name, tool_id) in enumerate(earlier.asked):
            answered = tool_id in turn.results or name in turn.results or not turn.results
            tool_call_id = f"{earlier.call_id}.{place}"
            if not answered or _plain(name) in told or tool_call_id in made:
                continue
            made[tool_call_id] = ToolCall(
                tool_call_id=tool_call_id,
                session_id=asker.session_id,
                agent_id=asker.agent_id,
                name=name,
                started_ns=earlier.ended_ns,
                duration_ns=max(0, turn.started_ns - earlier.ended_ns),
                trace_id=asker.trace_id,
                derived=True,
            )
    return list(made.values())


def _plain(name: str) -> str:
    """Write a tool's name without the spelling of its framework; a hand-over has two words."""
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    return plain.removeprefix("handoffto").removeprefix("transferto")
