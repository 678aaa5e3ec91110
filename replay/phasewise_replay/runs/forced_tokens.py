"""The tokens that calls are forced to generate: those of the recorded answers.

For plans with `forced: tokens`. Every prompt goes as token ids to vLLM's generate endpoint.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from phasewise_analyzer.chat_messages.facts import Thinking
from phasewise_analyzer.chat_messages.normalise import Normaliser
from phasewise_analyzer.engine.caches.prompt_ids import PromptIds, digest_ids
from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_store.errors import UnsupportedArmError
from phasewise_store.facts import Segment

from phasewise_replay.engine import Engine, ForcesTokens, Request
from phasewise_replay.plans.arms import Arm, SglangArm, SimulatedArm, VllmArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.runs import chat
from phasewise_replay.sessions.recorded import RecordedSession, RecordedStep

FLAGS = {"enable-trace-replay": True, "enable-scale-out": True}
"""of vLLM: take tokens to generate, and have the endpoint that passes them"""
CURE = "`forced: lengths` forces the recorded lengths, on every engine"
FORCED = "every answer is forced to the tokens of the recorded one"
NOT_CAPTURED = "whose answers were not captured as text"
NOT_TOLD = "whose answers the server's chat template does not tell apart from their prompts"
FROM_HASHES = "the answers are known as hashes, and the tokens forced are made from them"
_ABOUT_FORCING = re.compile(
    r"trace.replay|trace.decode|scale.out|token ids|\bforce[ds]?\b", re.IGNORECASE
)


def with_forced_tokens(arm: Arm, plan: Plan) -> Arm:
    """Return a vLLM arm with the flags that force tokens, where the plan does; its own flags win.

    Raises UnsupportedArmError for arms that cannot force tokens, before anything is started.
    """
    if plan.forced == "lengths":
        return arm
    if isinstance(arm, SglangArm):
        raise UnsupportedArmError("SGLang has no field that forces tokens")
    if isinstance(arm, SimulatedArm):
        raise UnsupportedArmError("the simulator generates no tokens that could be forced")
    if not isinstance(arm, VllmArm):
        return arm
    if "speculative-config" in arm.all_flags():
        raise UnsupportedArmError("vLLM does not force tokens with speculative decoding")
    return replace(arm, flags=FLAGS | dict(arm.flags))


def with_cure(reason: str) -> str:
    """Add what to do to a reason that has to do with forced tokens; it may be vLLM's own."""
    return f"{reason}; {CURE}" if _ABOUT_FORCING.search(reason) else reason


class ForcedTokens:
    """Finds the tokens of each answer, and remembers where there were none."""

    def __init__(self, engine: Engine, made_up: PromptIds, thinking: Thinking) -> None:
        """Take a started engine; raises UnsupportedArmError where it cannot force tokens."""
        if not isinstance(engine, ForcesTokens):
            raise UnsupportedArmError("this engine cannot be forced to generate given tokens")
        self._forcing = engine.token_forcing()
        reason = self._forcing.refusal()
        if reason is not None:
            raise UnsupportedArmError(reason)
        self._made_up = made_up
        self._thinking: Thinking = thinking
        self._session: RecordedSession | None = None
        """the one that came last"""
        self._places: dict[str, int] = {}
        self._normaliser = Normaliser(thinking)
        self._calls = 0
        self._lengths: Counter[str] = Counter()
        """calls whose length alone is forced, by reason"""
        self._hashed = 0

    def rewritten(
        self, session: RecordedSession, request: Request, ids: TokenIds | None
    ) -> Request:
        """Return a request in token ids, forced to the tokens of its recorded answer.

        `ids` are its prompt. Sessions come one after another. Raises UnsupportedArmError where the
        engine does not tell the ids.
        """
        if ids is None:
            raise UnsupportedArmError(chat.NO_IDS)
        if self._session is not session:
            self._session = session
            self._places = {step.call_id: place for place, step in enumerate(session.steps)}
            self._normaliser = Normaliser(self._thinking)
        in_ids = replace(
            request, endpoint="generate", messages=(), tools=(), prompt=None, prompt_token_ids=ids
        )
        if request.warm:
            return in_ids
        self._calls += 1
        place = self._places[request.call_id]
        recorded = session.steps[place]
        if chat.has_text(recorded.prompt):
            forced = self._captured(recorded, request, ids)
        else:
            forced = self._made(recorded, session.steps[place + 1 :])
        if forced is None:
            return in_ids
        return replace(in_ids, forced_ids=forced, output_tokens=len(forced))

    def sessions(self) -> Mapping[str, int]:
        """Return no sessions by endpoint: all calls go to the same one."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """Say that tokens are forced, and of how many calls not those of a captured answer."""
        of_all = f"of the {self._calls:,} calls"
        hashed = [f"of {self._hashed:,} {of_all} {FROM_HASHES}"] if self._hashed else []
        lengths = (
            f"of {count:,} {of_all} only the recorded length is forced, {why}"
            for why, count in self._lengths.items()
        )
        return (FORCED, *hashed, *lengths)

    def _captured(self, recorded: RecordedStep, request: Request, ids: TokenIds) -> TokenIds | None:
        """Return the captured answer in the engine's tokens; None where that is not known."""
        if not recorded.output or not chat.has_text(recorded.output):
            self._lengths[NOT_CAPTURED] += 1
            return None
        answer = chat.answer(request, recorded.prompt, recorded.output, self._normaliser)
        found = self._forcing.answer_ids(request, ids, answer) if answer else None
        if found is None:
            self._lengths[NOT_TOLD] += 1
        return found

    def _made(self, recorded: RecordedStep, later: Sequence[RecordedStep]) -> TokenIds:
        """Return tokens for an answer of which only hashes are known.

        Those that the next prompt has behind this one, so that its prefix is found in the cache as
        with recorded text; made up for the call where there are not enough.
        """
        self._hashed += 1
        ids = self._made_up.ids(_continuation(recorded.prompt, later))
        missing = max(0, recorded.output_tokens - len(ids))
        more = digest_ids(recorded.call_id.encode(), missing, self._made_up.vocabulary_tokens)
        return np.concatenate([ids, more])[: recorded.output_tokens]


def _continuation(prompt: tuple[Segment, ...], later: Sequence[RecordedStep]) -> Sequence[Segment]:
    """Return what the first later prompt that begins with this one has behind it."""
    known = len(prompt)
    found = (one.prompt for one in later if len(one.prompt) > known)
    return next((one[known:] for one in found if one[:known] == prompt), ())
