"""A small engine that logs its steps as vLLM does, beside what really happened."""

import itertools
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, field, replace

from phasewise_analyzer.engine.runs.logged_steps import EndedCall, LoggedStep
from phasewise_analyzer.engine.schedulers.request import Request, Served
from phasewise_analyzer.engine.schedulers.scheduler import Scheduled
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig, VllmScheduler
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk, StepTimes


@dataclass
class LoggedRun:
    """What an engine logged, and the truth."""

    log: list[LoggedStep] = field(default_factory=list)
    steps: list[tuple[float, float, Batch]] = field(default_factory=list)
    """begin, end and batch of each; the last token of a prompt is read, as vLLM has it"""


def run(
    requests: Sequences[Request],
    times: StepTimes,
    config: SchedulerConfig,
    *,
    late_s: Sequences[float],
    blocks: int | None = None,
) -> LoggedRun:
    """Serve requests step by step; the log is late by each of the times in turn."""
    scheduler, found, late = VllmScheduler(config, blocks), LoggedRun(), itertools.cycle(late_s)
    coming = [
        Sequence(at, one, Served(one.arrival_s), total=one.input_tokens)
        for at, one in sorted(enumerate(requests), key=lambda pair: pair[1].arrival_s)
    ]
    now, token_s = 0.0, dict.fromkeys(range(len(requests)), 0.0)
    while coming or scheduler.waiting or scheduler.running:
        while coming and coming[0].served.arrival_s <= now:
            scheduler.waiting.append(coming.pop(0))
        planned = scheduler.schedule()
        if planned is None:
            now = coming[0].served.arrival_s
            continue
        part = _by_output(planned)
        for sequence in part.reading:
            if sequence.served.scheduled_s is None:
                sequence.served.scheduled_s = now
        end = now + times.step_s(planned.batch)
        found.steps.append((now, end, part.batch))
        found.log.append(_logged(scheduler, part, end, token_s, at_s=end + next(late)))
        now = end
    return found


def _by_output(part: Scheduled) -> Scheduled:
    """Return a step in which whatever comes before the first token is read: vLLM counts so."""
    reads = [(one, context) for one, context in part.decoding if not one.emitted]
    decodes = [(one, context) for one, context in part.decoding if one.emitted]
    chunks = (*part.batch.chunks, *(Chunk(1, context - 1) for _, context in reads))
    batch = Batch(
        chunks,
        decodes=len(decodes),
        context=sum(context for _, context in decodes),
        longest=max((context for _, context in decodes), default=0),
    )
    reading = (*part.reading, *(one for one, _ in reads))
    return replace(part, batch=batch, reading=reading, decoding=tuple(decodes))


def _logged(
    scheduler: VllmScheduler, part: Scheduled, end: float, token_s: dict[int, float], *, at_s: float
) -> LoggedStep:
    """Hand the tokens of a step out, and describe it."""
    gaps, first, ended = [], 0, []
    again = [one for one in part.reading if one.emitted]
    for sequence, _ in part.emitting:
        sequence.emitted += 1
        served = sequence.served
        if sequence.emitted == 1:
            first, served.first_s = first + 1, end
        else:
            gaps.append(end - token_s[sequence.index])
        token_s[sequence.index] = end
        if sequence.emitted == sequence.request.output_tokens:
            served.last_s = end
            scheduler.finish(sequence)
            ended.append(_ended(sequence))
        else:
            scheduler.emitted(sequence)
    more = sum(
        chunk.new
        for one, chunk in zip(part.reading, part.batch.chunks, strict=True)
        if one in again
    )
    return LoggedStep(
        at_s=at_s,
        prefill_tokens=part.batch.prefill_tokens - more,
        decode_requests=part.batch.decodes + len(again),
        decode_tokens=part.batch.decodes + more,
        first_tokens=first,
        more_tokens=len(gaps),
        gap_s=min(gaps, default=None),
        ended=tuple(ended),
    )


def _ended(sequence: Sequence) -> EndedCall:
    served, request = sequence.served, sequence.request
    assert served.scheduled_s is not None
    return EndedCall(
        f"call-{sequence.index}",
        request.input_tokens,
        served.cached_tokens,
        request.output_tokens,
        prefill_s=served.first_s - served.scheduled_s,
        decode_s=served.last_s - served.first_s,
        preemptions=served.preemptions,
    )
