"""`SimulatedEngine`: the engine model in virtual time, with any number of requests in flight.

It needs nothing installed and never sleeps. A real model would not generate the recorded output
again, so the output here never matches the history: its blocks are cached, as in the engine, and
never hit.
"""

import math
from collections.abc import Sequence

from phasewise_analyzer.engine.caches.block_digests import block_digests
from phasewise_analyzer.engine.caches.prompt_ids import unheard_ids
from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.not_modelled import NotModelledError
from phasewise_analyzer.engine.runs.fleet import Fleet
from phasewise_analyzer.engine.schedulers.request import Request as Arrival
from phasewise_analyzer.engine.schedulers.request import Served
from phasewise_analyzer.engine.schedulers.sequence import Sequence as Call
from phasewise_analyzer.engine.speculation.drafted_calls import DraftedCalls, Drafting
from phasewise_store.errors import EngineError, UnsupportedArmError, UsageError

from phasewise_replay.engine import Answer, Request, Resolved
from phasewise_replay.engines import simulated_deployment
from phasewise_replay.plans import arm_file
from phasewise_replay.plans.arms import SimulatedArm


class SimulatedEngine:
    """An engine whose times are computed."""

    def __init__(self, arm: SimulatedArm, *, drafting: Drafting | None = None) -> None:
        """Take an arm; `drafting` is where recorded outputs are at hand."""
        self._arm = arm
        self._drafting = drafting
        self._drafted: DraftedCalls | None = None
        self._engine: Deployment | None = None
        self._fleet: Fleet | None = None
        self._now_s = 0.0
        self._sent: list[tuple[Request, int]] = []
        self._numbers: dict[bytes, int] = {}
        self._digests: dict[str, tuple[int, ...]] = {}
        """of the prompts that were sent, by request: every block of an arm sends the same"""

    def start(self) -> Resolved:
        """Set the engine model up; see `Lifecycle.start`."""
        options, flags = self._arm.options, self._arm.all_flags()
        engine = simulated_deployment.deployment(options, flags)
        self._engine = engine
        self._drafted = self._draft(engine)
        self._digests.clear()
        self.reset()
        config, blocks = engine.config, engine.blocks
        return Resolved(
            engine="simulated",
            model=options.model or engine.name,
            basis="simulated",
            reads="token_ids",
            prefix_caching=config.prefix_caching,
            block_tokens=config.block_size,
            blocks=blocks,
            max_model_tokens=None if blocks is None else config.most_tokens(blocks),
            settings=simulated_deployment.settings(options, flags, engine)
            | ({} if self._drafted is None else {"speculative_basis": self._drafted.basis}),
            step_times=engine.times.basis,
        )

    def stop(self) -> None:
        """Forget all requests and the cache."""
        self._fleet = None

    def reset(self) -> None:
        """Start anew with an empty cache, at time 0."""
        assert self._engine is not None
        try:
            self._fleet = arm_file.layout(self._arm.options).fleet(self._engine)
        except NotModelledError as wrong:
            raise UnsupportedArmError(str(wrong)) from wrong
        self._now_s, self._sent = 0.0, []

    @property
    def now_ns(self) -> int:
        """The virtual time since the last reset."""
        return _after_ns(self._now_s)

    def submit(self, request: Request, at_ns: int) -> None:
        """Send a request at a virtual time; see `VirtualTime.submit`."""
        fleet, engine = self._started()
        prompt = request.prompt_token_ids
        assert prompt is not None, "the simulator reads token ids"
        if request.request_id not in self._digests:
            numbers = self._numbers
            self._digests[request.request_id] = tuple(
                numbers.setdefault(digest, len(numbers))
                for digest in block_digests(prompt, engine.config.block_size)
            )
        drafted = self._drafted
        arrival = Arrival(
            at_ns / 1e9,
            len(prompt),
            request.output_tokens,
            self._digests[request.request_id],
            drafts=None if drafted is None else drafted.drafts.get(request.call_id),
        )
        served = Served(arrival.arrival_s)
        fleet.submit(Call(len(self._sent), arrival, served, total=len(prompt)))
        self._sent.append((request, at_ns))

    def run(self, until_ns: int | None = None) -> Sequence[tuple[Request, Answer]]:
        """Serve until requests are answered; see `VirtualTime.run`."""
        fleet, _ = self._started()
        horizon_s = math.inf if until_ns is None else until_ns / 1e9
        ended = fleet.run(horizon_s)
        if ended:
            self._now_s = max(one.served.last_s for one in ended)
        elif until_ns is not None:
            self._now_s = horizon_s
        return [(self._sent[one.index][0], self._answer(one)) for one in ended]

    def send(self, request: Request) -> Answer:
        """Serve one request alone."""
        self.submit(request, self.now_ns)
        ((_, answer),) = self.run()
        return answer

    def _answer(self, call: Call) -> Answer:
        served, (request, sent_ns) = call.served, self._sent[call.index]
        _, engine = self._started()
        assert served.scheduled_s is not None
        first_ns, scheduled_ns = round(served.first_s * 1e9), round(served.scheduled_s * 1e9)
        queued_ns, ended_ns = round(call.request.arrival_s * 1e9), _after_ns(served.last_s)
        return Answer(
            sent_ns=sent_ns,
            duration_ns=ended_ns - sent_ns,
            ttft_ns=first_ns - sent_ns,
            queue_ns=scheduled_ns - queued_ns,
            prefill_ns=first_ns - scheduled_ns,
            decode_ns=ended_ns - first_ns,
            prefill_gpu_s=served.prefill_s * engine.tp,
            decode_gpu_s=(served.busy_s - served.prefill_s) * engine.tp,
            preemptions=served.preemptions,
            input_tokens=call.request.input_tokens,
            cached_tokens=served.cached_tokens,
            output_tokens=served.output_tokens,
            output_token_ids=unheard_ids(request.request_id, request.output_tokens),
        )

    def _draft(self, engine: Deployment) -> DraftedCalls | None:
        """Return what is drafted; raises UnsupportedArmError where it cannot be computed."""
        if engine.speculation is None:
            return None
        if self._drafting is None:
            raise UnsupportedArmError(
                "accepted drafts are computed on recorded outputs, which are not at hand here"
            )
        try:
            return self._drafting(engine.speculation)
        except UsageError as wrong:
            raise UnsupportedArmError(str(wrong)) from wrong

    def _started(self) -> tuple[Fleet, Deployment]:
        if self._fleet is None or self._engine is None:
            raise EngineError("the simulator is not started")
        return self._fleet, self._engine


def _after_ns(seconds: float) -> int:
    """Return the first whole nanosecond that is not before a time."""
    found = math.ceil(seconds * 1e9)
    return found if found / 1e9 >= seconds else found + 1
