"""One block: start with a cold cache, which the canary checks, then run every session once.

`run` calls it for each turn of each arm.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_store.run_facts import MeasuredCall

from phasewise_replay.driving.driver import drive_virtually
from phasewise_replay.driving.due import Due
from phasewise_replay.driving.real_time_driver import drive
from phasewise_replay.engine import (
    Answer,
    Asynchronous,
    Channel,
    Counting,
    Engine,
    Loaded,
    Request,
    Resolved,
    Stepping,
    Tokenizing,
    Unmeasured,
    VirtualTime,
)
from phasewise_replay.records import parallel_ranks
from phasewise_replay.records.arm_record import BlockRecord
from phasewise_replay.records.sink import Sink
from phasewise_replay.runs.canary import canary
from phasewise_replay.runs.order import Order
from phasewise_replay.runs.other_tokens import OtherTokens
from phasewise_replay.runs.prediction import Prediction
from phasewise_replay.runs.preparing import Prepared
from phasewise_replay.runs.reach import Reach

Written = Mapping[str, TokenIds]
"""the tokens of outputs, by call"""
Joules = Callable[[], float | None]
"""the energy that the GPU has used since some start; None where it is not measured"""


def unknown() -> None:
    """Say that the energy is not measured."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Identifies a block: run, arm and number."""

    run_id: str
    arm: str
    block: int

    @property
    def salt(self) -> str:
        """The cache salt that isolates this block on a server that cannot be reset."""
        return f"{self.run_id}/{self.arm}/{self.block}"


class Block:
    """Sends the requests of one block and stores the answers."""

    def __init__(
        self,
        turn: Turn,
        engine: Engine,
        resolved: Resolved,
        prepared: Prepared,
        *,
        joules: Joules = unknown,
    ) -> None:
        self._turn = turn
        self._engine = engine
        self._resolved = resolved
        self._prepared = prepared
        self._prediction = Prediction(resolved)
        self._reach = Reach(resolved)
        self._reachable: dict[str, int | None] = {}
        self._order = Order(prepared.sessions)
        self._salt = turn.salt if resolved.resets == "salt" else None
        self._cached: list[int | None] = []
        self._rows: dict[str, MeasuredCall] = {}
        """what was measured, by the id of the response"""
        self.written: dict[str, TokenIds] = {}
        """the outputs of measured calls, where the engine tells their tokens"""
        self._joules = joules
        self._other_lengths = 0
        self._other_tokens = OtherTokens()

    def warm_up(self, calls: int) -> None:
        """Send the first calls without measuring: a fresh server still compiles kernels."""
        steps = [due for session in self._prepared.sessions for due in session]
        for due in steps[:calls]:
            self._engine.send(due.request)

    def run(self, sink: Sink, *, concurrency: int) -> BlockRecord:
        """Make the cache cold, check that it is, and send everything."""
        counted_before = self._count()
        first = next((due.request for session in self._prepared.sessions for due in session), None)
        if first is None:
            most = self._resolved.max_model_tokens or 0
            void = f"no call fits the model's context of {most:,} tokens (prompt and output)"
            return self._record(None, void=void)
        cold = self._cold(first)
        if cold.error is not None:
            return self._record(None, void=f"the canary failed: {cold.error}")
        if cold.cached_tokens and self._resolved.resets != "none":
            warm = f"the canary found {cold.cached_tokens} cached tokens after the cache was reset"
            return self._record(cold.cached_tokens, void=warm)
        engine = self._engine
        if isinstance(engine, Stepping):
            engine.watch_steps()
        if isinstance(engine, Loaded):
            engine.watch_load()
        joules, began_ns = self._joules(), time.perf_counter_ns()
        cpu_ns = time.process_time_ns()
        self._drive(sink, concurrency)
        cpu_ns = time.process_time_ns() - cpu_ns
        wall_ns, joules_after = time.perf_counter_ns() - began_ns, self._joules()
        counted = self._count()
        grown = None if counted is None or counted_before is None else counted - counted_before
        energy_j = None if joules is None or joules_after is None else joules_after - joules
        record = self._record(cold.cached_tokens, engine_cached=grown)
        if self._resolved.basis == "simulated":
            return record
        load = engine.watched_load() if isinstance(engine, Loaded) else None
        drafts = None if load is None else load.drafts
        record = replace(
            record,
            wall_ns=wall_ns,
            client_cpu_ns=cpu_ns,
            energy_j=energy_j,
            preemptions=None if load is None else load.preemptions,
            kv_use_mean=None if load is None else load.kv_use_mean,
            kv_use_peak=None if load is None else load.kv_use_peak,
            drafts=None if drafts is None else drafts.drafts,
            drafted_tokens=None if drafts is None else drafts.drafted,
            accepted_tokens=None if drafts is None else drafts.accepted,
        )
        return self._with_steps(record, engine, sink) if isinstance(engine, Stepping) else record

    def _with_steps(self, record: BlockRecord, engine: Stepping, sink: Sink) -> BlockRecord:
        """Add what the engine's steps took, and to the calls their parts of them."""
        steps = engine.watched_steps()
        if isinstance(steps, Unmeasured):
            return replace(record, steps_unmeasured=steps.reason)
        gpus = parallel_ranks.gpus(self._resolved.settings, parallel_ranks.STEP)
        sink.replace(
            [
                replace(
                    _with_own_times(row, steps.own_s.get(response_id)),
                    prefill_gpu_s=parts[0] * gpus,
                    decode_gpu_s=parts[1] * gpus,
                )
                for response_id, row in self._rows.items()
                if (parts := steps.calls.get(response_id)) is not None
            ]
        )
        low_s, high_s = steps.prefill_band_s or (None, None)
        return replace(
            record,
            prefill_steps_s=steps.prefill_s,
            decode_steps_s=steps.decode_s,
            prefill_steps_low_s=low_s,
            prefill_steps_high_s=high_s,
            steps=steps.steps,
            mixed_steps=steps.mixed,
        )

    def _cold(self, first: Request) -> Answer:
        """Warm the canary, reset, and send it again."""
        probe = canary(
            first,
            vocabulary_tokens=self._prepared.vocabulary_tokens,
            most_tokens=self._resolved.max_model_tokens,
        )
        self._cached.append(self._engine.send(probe).cached_tokens)
        self._engine.reset()
        again = replace(probe, cache_salt=self._salt)
        ids = self._engine.token_ids(again) if isinstance(self._engine, Tokenizing) else None
        answer = self._engine.send(again)
        self._cached.append(answer.cached_tokens)
        self._prediction.after(ids, answer)
        return answer

    def _drive(self, sink: Sink, concurrency: int) -> None:
        sessions: Sequence[Sequence[Due]] = self._prepared.sessions
        if isinstance(self._engine, VirtualTime):
            start_ns = time.time_ns() - self._engine.now_ns

            def submitted(request: Request) -> None:
                self._reachable[request.call_id] = self._reach.sent(
                    request.call_id, request.prompt_token_ids
                )

            def answered(request: Request, answer: Answer) -> None:
                self._reach.answered(request.call_id, answer)
                predicted = self._prediction.before(request.prompt_token_ids)
                self._cached.append(answer.cached_tokens)
                at_start = replace(answer, sent_ns=start_ns + answer.sent_ns)
                sink.add(self._row(request, at_start, 0, predicted))

            drive_virtually(
                sessions, self._engine, answered, sent=submitted, concurrency=concurrency
            )
            return

        predictions: dict[str, int | None] = {}
        token_ids = self._prepared.token_ids

        def sent(request: Request) -> None:
            ids = token_ids.get(request.call_id)
            self._reachable[request.call_id] = self._reach.sent(request.call_id, ids)
            predictions[request.request_id] = self._prediction.before(ids)

        def measured(request: Request, answer: Answer, lag_ns: int) -> None:
            ids = token_ids.get(request.call_id)
            self._prediction.after(ids, answer)
            self._reach.answered(request.call_id, answer)
            self._cached.append(answer.cached_tokens)
            if ids is not None and answer.input_tokens not in (None, len(ids)):
                self._other_lengths += 1
            self._other_tokens.answered(request, answer)
            predicted = predictions.pop(request.request_id)
            row = self._row(request, answer, lag_ns, predicted)
            if answer.output_token_ids is not None:
                self.written[request.call_id] = answer.output_token_ids
            if answer.response_id is not None:
                self._rows[answer.response_id] = row
            sink.add(row)

        drive(
            [[self._salted(due) for due in session] for session in sessions],
            _channel(self._engine),
            sent=sent,
            answered=measured,
            concurrency=concurrency,
        )

    def _salted(self, due: Due) -> Due:
        if self._salt is None:
            return due
        return replace(due, request=replace(due.request, cache_salt=self._salt))

    def _row(
        self, request: Request, answer: Answer, lag_ns: int, predicted: int | None
    ) -> MeasuredCall:
        waited_for = self._order.answered(request.call_id, answer)
        return MeasuredCall(
            run_id=self._turn.run_id,
            arm=self._turn.arm,
            block=self._turn.block,
            session_id=request.session_id,
            call_id=request.call_id,
            step=request.step,
            sent_ns=answer.sent_ns,
            lag_ns=lag_ns,
            planned_output_tokens=request.output_tokens,
            basis=self._resolved.basis,
            ttft_ns=answer.ttft_ns,
            duration_ns=answer.duration_ns,
            queue_ns=answer.queue_ns,
            prefill_ns=answer.prefill_ns,
            decode_ns=answer.decode_ns,
            prefill_gpu_s=answer.prefill_gpu_s,
            decode_gpu_s=answer.decode_gpu_s,
            input_tokens=answer.input_tokens,
            cached_tokens=answer.cached_tokens,
            predicted_cached_tokens=predicted,
            output_tokens=answer.output_tokens,
            output=answer.output,
            error=answer.error,
            waited_for=waited_for,
            reachable_tokens=self._reachable.pop(request.call_id, None),
            preemptions=answer.preemptions,
            warm=request.warm,
        )

    def _count(self) -> int | None:
        return self._engine.cached_tokens() if isinstance(self._engine, Counting) else None

    def _record(
        self,
        canary_cached: int | None,
        *,
        void: str | None = None,
        engine_cached: int | None = None,
    ) -> BlockRecord:
        known = [tokens for tokens in self._cached if tokens is not None]
        return BlockRecord(
            block=self._turn.block,
            canary_cached_tokens=canary_cached,
            void=void,
            calls=max(0, len(self._cached) - 2),
            skipped_calls=self._prepared.skipped_calls,
            other_lengths=self._other_lengths,
            other_tokens=self._other_tokens.calls,
            first_other=self._other_tokens.first,
            cached_tokens=sum(known) if len(known) == len(self._cached) else None,
            engine_cached_tokens=engine_cached,
        )


def _channel(engine: Engine) -> Channel:
    if not isinstance(engine, Asynchronous):
        raise TypeError(f"`{type(engine).__name__}` serves neither in virtual nor in real time")
    return engine.channel()


def _with_own_times(row: MeasuredCall, own_s: tuple[float, float] | None) -> MeasuredCall:
    """Add the phases by the engine's clock, where the response did not have them."""
    if own_s is None or row.prefill_ns is not None or row.decode_ns is not None:
        return row
    prefill_s, decode_s = own_s
    return replace(row, prefill_ns=round(prefill_s * 1e9), decode_ns=round(decode_s * 1e9))
