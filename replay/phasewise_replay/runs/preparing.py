"""Turn recorded sessions into the requests for one engine, before anything is measured.

Prompts are tokenized by the engine itself where possible, so that the cache model sees the ids that
the model reads, and no session has to end in the middle of a measurement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from phasewise_analyzer.chat_messages.facts import Thinking
from phasewise_analyzer.chat_messages.normalise import Normaliser
from phasewise_analyzer.engine.caches.prompt_ids import UNBOUNDED, PromptIds
from phasewise_analyzer.engine.caches.token_ids import TokenIds

from phasewise_replay.client.endpoint_forms import TELL_IDS
from phasewise_replay.driving.driver import Pace
from phasewise_replay.driving.due import Due
from phasewise_replay.engine import Engine, Request, Resolved, Tokenizing
from phasewise_replay.plans.plan import EndpointChoice, Forced
from phasewise_replay.runs import chat
from phasewise_replay.runs.chosen_endpoints import ChosenEndpoints
from phasewise_replay.runs.forced_tokens import ForcedTokens
from phasewise_replay.sessions.recorded import RecordedSession, RecordedStep

LEAST_VOCABULARY = 16_000
"""used when a server does not report its vocabulary size; every common model has a larger one"""

MOST_TIMES, MOST_MORE = 2, 64
"""a free answer has room for twice the recorded length, and some more where that is short"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The requests of every block of an arm."""

    sessions: tuple[tuple[Due, ...], ...]
    token_ids: Mapping[str, TokenIds]
    """by call: the prompt as the model reads it, where that is known in advance"""
    skipped_calls: int
    """calls that do not fit the model's context, and all that wait for them"""
    vocabulary_tokens: int
    endpoints: Mapping[str, int] = field(default_factory=dict)
    """sessions by the endpoint that their chats go to"""
    notes: tuple[str, ...] = ()
    """what is sent otherwise than the plan asks, and why; that tokens are forced"""


def prepare(
    sessions: Sequence[RecordedSession],
    engine: Engine,
    resolved: Resolved,
    pace: Pace,
    *,
    thinking: Thinking = "drop",
    free: bool = False,
    endpoint: EndpointChoice = "chat",
    forced: Forced = "lengths",
) -> Prepared:
    """Build the requests of all sessions, without calls that do not fit and those after them.

    `thinking` says what happens to the reasoning in recorded answers; `free` lets answers end where
    the model ends them, within a limit above the recorded length; `forced` says what the others
    are forced to. Raises UnsupportedArmError where the engine cannot serve `endpoint`, or cannot be
    forced to generate the recorded tokens.
    """
    vocabulary = resolved.vocabulary_tokens or LEAST_VOCABULARY
    made_up = PromptIds(UNBOUNDED if resolved.reads == "token_ids" else vocabulary)
    chosen: ForcedTokens | ChosenEndpoints
    if forced == "tokens":
        chosen = ForcedTokens(engine, made_up, thinking)
    else:
        chosen = ChosenEndpoints(engine, endpoint, forced=not free)
    known: dict[str, TokenIds] = {}
    ready: list[tuple[Due, ...]] = []
    skipped = 0
    for session in sessions:
        steps: list[Due] = []
        places: dict[str, int] = {}
        instead: dict[str, tuple[str, ...]] = {}
        kept = {step.call_id for step in session.steps}
        previous: str | None = None
        normaliser = Normaliser(thinking)
        for recorded in session.steps:
            first = () if previous is None else (previous,)
            after = first if recorded.after is None else recorded.after
            # what a plan or a pack has left out of the session is not waited for
            after = tuple(one for one in after if one in kept)
            after = tuple(other for one in after for other in instead.get(one, (one,)))
            previous = recorded.call_id
            if any(one not in places for one in after):
                continue
            request = _request(session.session_id, recorded, resolved, made_up, normaliser)
            ids = request.prompt_token_ids
            if ids is None and isinstance(engine, Tokenizing):
                ids = engine.token_ids(request)
            if ids is not None:
                known[recorded.call_id] = ids
                if not _fits(len(ids) + recorded.output_tokens, resolved.max_model_tokens):
                    if recorded.warm:  # a history that was longer once: the session goes on
                        instead[recorded.call_id] = after
                    continue
            request = chosen.rewritten(session, request, ids)
            if ids is not None and not _fits(
                len(ids) + request.output_tokens, resolved.max_model_tokens
            ):
                continue
            if request.endpoint not in TELL_IDS:
                # its template may be given the same chat in another way, and it reports no ids
                known.pop(recorded.call_id, None)
            if free and not recorded.warm:
                room = None if ids is None else _room(len(ids), resolved.max_model_tokens)
                most = MOST_TIMES * recorded.output_tokens + MOST_MORE
                most = most if room is None else min(most, room)
                request = replace(request, free=True, output_tokens=most)
            places[recorded.call_id] = len(steps)
            before = tuple(places[one] for one in after)
            steps.append(Due(request, pace.wait_ns(recorded.wait_ns), before))
        skipped += sum(not step.warm for step in session.steps)
        skipped -= sum(not due.request.warm for due in steps)
        ready.append(tuple(steps))
    return Prepared(
        tuple(ready), known, skipped, made_up.vocabulary_tokens, chosen.sessions(), chosen.notes()
    )


def _room(tokens: int, most: int | None) -> int | None:
    return None if most is None else most - tokens


def _fits(tokens: int, most: int | None) -> bool:
    return most is None or tokens <= most


def _request(
    session_id: str,
    recorded: RecordedStep,
    resolved: Resolved,
    made_up: PromptIds,
    normaliser: Normaliser,
) -> Request:
    bare = Request(
        request_id=recorded.call_id,
        session_id=session_id,
        call_id=recorded.call_id,
        step=recorded.step,
        output_tokens=recorded.output_tokens,
        warm=recorded.warm,
    )
    if resolved.reads == "token_ids" or not chat.has_text(recorded.prompt):
        return chat.with_ids(bare, made_up.ids(recorded.prompt))
    return chat.with_text(bare, recorded.prompt, normaliser)
