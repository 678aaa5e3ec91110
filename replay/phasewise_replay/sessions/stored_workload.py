"""Recorded sessions of the store as a workload of the engine model: `phasewise simulate --source`.

Prompts have the identity that they have for a replay's simulated engine: prefixes are equal where
the recorded text is, and a model's own output is never found in a cache again.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from phasewise_analyzer.engine.caches.block_digests import block_digests
from phasewise_analyzer.engine.caches.prompt_ids import PromptIds
from phasewise_analyzer.engine.runs.closed_loop import SessionCall
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.speculation.assumed import assumed_drafts
from phasewise_analyzer.engine.speculation.captured_calls import CapturedCalls, Drafter, stretched
from phasewise_analyzer.engine.speculation.config import SpeculationConfig
from phasewise_analyzer.engine.speculation.drafted_calls import DraftedCalls
from phasewise_store import reads
from phasewise_store.errors import UsageError
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.sessions import sessions
from phasewise_replay.sessions.recorded import RecordedSession, RecordedStep

NO_TEXT = (
    "has no text, so what drafts would be accepted cannot be computed; `phasewise simulate` can "
    "assume it:  --acceptance-length, e.g. 1.8"
)


@dataclass(frozen=True, slots=True)
class StoredWorkload:
    """Sessions for `closed_loop.serve_graphs`."""

    sessions: tuple[tuple[SessionCall, ...], ...]
    call_ids: tuple[str, ...]
    """in the order of the sessions and their calls"""
    calls_without_prompt: int


def load(
    store: Store,
    choice: SessionChoice,
    *,
    agent: str | None,
    block_tokens: int,
    tool_time: float,
) -> StoredWorkload:
    """Read sessions; a share of the recorded waits between calls is kept.

    Raises UsageError where nothing is found.
    """
    recorded = sessions.load(store, choice)
    wanted = None
    if agent is not None:
        scope = Scope(source=choice.source, agent=agent)
        wanted = set(reads.llm_calls(store, scope)["call_id"].to_list())
        if not wanted:
            raise UsageError(f"no calls of an agent `{agent}`; `phasewise agents` lists all agents")
    reader = _SessionReader(wanted, block_tokens, tool_time)
    found = [calls for one in recorded.sessions if (calls := reader.calls(one))]
    return StoredWorkload(
        tuple(tuple(calls.values()) for calls in found),
        tuple(call_id for calls in found for call_id in calls),
        recorded.calls_without_prompt,
    )


class _SessionReader:
    """Makes calls of the engine model out of recorded ones."""

    def __init__(self, wanted: set[str] | None, block_tokens: int, tool_time: float) -> None:
        self._wanted = wanted
        self._block_tokens = block_tokens
        self._tool_time = tool_time
        self._ids = PromptIds()
        self._numbers: dict[bytes, int] = {}

    def calls(self, session: RecordedSession) -> dict[str, SessionCall]:
        """Return the wanted calls of a session by their ids."""
        found: dict[str, SessionCall] = {}
        places: dict[str, int] = {}
        previous: tuple[str, ...] = ()
        for step in session.steps:
            if self._wanted is not None and step.call_id not in self._wanted:
                continue
            after = previous if step.after is None else step.after
            previous = (step.call_id,)
            before = tuple(places[one] for one in after if one in places)
            places[step.call_id] = len(found)
            found[step.call_id] = SessionCall(self._request(step), before)
        return found

    def _request(self, step: RecordedStep) -> Request:
        prompt = self._ids.ids(step.prompt)
        digests = tuple(
            self._numbers.setdefault(digest, len(self._numbers))
            for digest in block_digests(prompt, self._block_tokens)
        )
        wait_s = step.wait_ns * self._tool_time / 1e9
        return Request(wait_s, max(1, len(prompt)), step.output_tokens, digests)


def computed(
    store: Store, scope: Scope, call_ids: Collection[str], config: SpeculationConfig
) -> DraftedCalls:
    """Compute on captured tokens what is drafted; raises UsageError where no call has text."""
    calls = CapturedCalls(store, scope, call_ids=call_ids)
    drafter = Drafter(config)
    drafts = {call.call_id: stretched(drafter.drafts(call), call) for call in calls}
    if not drafts:
        raise UsageError(f"`{scope.source or 'this database'}` {NO_TEXT}")
    basis = f"computed on {calls.basis()}"
    return DraftedCalls(config, basis, drafts, len(call_ids) - len(drafts))


def assumed(workload: StoredWorkload, config: SpeculationConfig, length: float) -> DraftedCalls:
    """Assume an acceptance length."""
    tokens = (call.request.output_tokens for session in workload.sessions for call in session)
    drafts = {
        call_id: assumed_drafts(count, config.tokens, length)
        for call_id, count in zip(workload.call_ids, tokens, strict=True)
    }
    return DraftedCalls(config, assumption(length), drafts)


def assumption(length: float) -> str:
    """Say what was assumed."""
    return f"assumed acceptance length {length:g}"


def with_drafts(workload: StoredWorkload, speculation: DraftedCalls) -> StoredWorkload:
    """Return the workload with what is drafted for each call."""
    ids = iter(workload.call_ids)
    drafted = tuple(
        tuple(
            replace(call, request=replace(call.request, drafts=speculation.drafts.get(next(ids))))
            for call in session
        )
        for session in workload.sessions
    )
    return replace(workload, sessions=drafted)
