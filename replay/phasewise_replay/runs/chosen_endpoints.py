"""The endpoint that the chats of each session go to on an engine, as the plan asks and it can."""

from collections import Counter
from dataclasses import replace

from phasewise_analyzer.chat_messages.captured_endpoint import captured_endpoint
from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_store.errors import UnsupportedArmError

from phasewise_replay.client.endpoint_forms import EndpointForms
from phasewise_replay.engine import Endpoint, Engine, HasEndpoints, Request
from phasewise_replay.plans.arms import Arm, SglangArm
from phasewise_replay.plans.plan import EndpointChoice, Plan
from phasewise_replay.runs import chat
from phasewise_replay.sessions.recorded import RecordedSession

IGNORE_EOS = "preferred-sampling-params"
"""the flag of SGLang with which requests that cannot say so ignore the end of a text"""


def with_forced_lengths(arm: Arm, plan: Plan) -> Arm:
    """Return an SGLang arm with the flag that forces lengths on Responses, where the plan does."""
    needed = plan.mode == "performance" and plan.endpoint in ("responses", "recorded")
    if not isinstance(arm, SglangArm) or not needed or IGNORE_EOS in arm.all_flags():
        return arm
    return replace(arm, flags={**arm.flags, IGNORE_EOS: {"ignore_eos": True}})


class ChosenEndpoints:
    """Chooses, and remembers what was chosen."""

    def __init__(self, engine: Engine, choice: EndpointChoice, *, forced: bool) -> None:
        self._engine = engine
        self._choice = choice
        self._forced = forced
        self._refusals: dict[Endpoint, str | None] = {}
        self._forms: tuple[str, EndpointForms] | None = None
        """of the session that came last"""
        self._sessions: Counter[Endpoint] = Counter()
        self._elsewhere: Counter[Endpoint] = Counter()
        """sessions that were captured from an endpoint and go to another one"""

    def rewritten(
        self, session: RecordedSession, request: Request, ids: TokenIds | None
    ) -> Request:
        """Return a chat as the endpoint of its session takes it; other requests stay.

        `ids` are the chat in token ids, where the engine tells them. Sessions come one after
        another. Raises UnsupportedArmError where the engine cannot serve the endpoint.
        """
        if not request.messages:
            return request
        if self._forms is None or self._forms[0] != session.session_id:
            self._forms = session.session_id, EndpointForms(self._of(session))
        forms = self._forms[1]
        if forms.endpoint != "completions":
            return forms.rewritten(request)
        if ids is None:
            raise UnsupportedArmError(chat.NO_IDS)
        return replace(request, messages=(), tools=(), prompt_token_ids=ids)

    def _of(self, session: RecordedSession) -> Endpoint:
        """Return the endpoint of a session."""
        if self._choice == "recorded":
            prompts = (step.prompt for step in session.steps)
            found: Endpoint = captured_endpoint(prompts, provider=session.provider)
            if self._refusal(found) is not None:
                self._elsewhere[found] += 1
                found = "chat"
        else:
            found = self._choice
            if (reason := self._refusal(found)) is not None:
                raise UnsupportedArmError(reason)
        self._sessions[found] += 1
        return found

    def sessions(self) -> dict[str, int]:
        """Return how many sessions go where; nothing where the plan leaves all to chat."""
        found = {} if self._choice == "chat" else self._sessions
        return {str(endpoint): count for endpoint, count in found.items()}

    def notes(self) -> tuple[str, ...]:
        """Say which sessions go to chat instead, and why."""
        return tuple(
            f"sent to `chat` instead of `{endpoint}`, from which {count:,} of the sessions were "
            f"captured: {self._refusal(endpoint)}"
            for endpoint, count in self._elsewhere.items()
        )

    def _refusal(self, endpoint: Endpoint) -> str | None:
        if endpoint not in self._refusals:
            reason = None
            if isinstance(self._engine, HasEndpoints):
                reason = self._engine.cannot_send(endpoint, forced=self._forced)
            self._refusals[endpoint] = reason
        return self._refusals[endpoint]
