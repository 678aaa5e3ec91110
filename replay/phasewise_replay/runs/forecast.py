"""What the engine model says an arm will take, before it is measured.

The arm's own requests, in the tokens that its server reads, are served by the simulated engine:
with the limits and the KV cache that the server reports, and step times of a calibration or a
roofline. Speculation accepts drafts that equal what the baseline wrote: the arm will write the
same, because both are greedy.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from phasewise_analyzer.engine.deployments import calibration
from phasewise_analyzer.engine.schedulers.drafts import Acceptance, Drafts, total
from phasewise_analyzer.engine.speculation.captured_calls import CapturedCall, Drafter, stretched
from phasewise_analyzer.engine.speculation.config import SpeculationConfig
from phasewise_analyzer.engine.speculation.drafted_calls import DraftedCalls
from phasewise_store.errors import PhasewiseError, UsageError

from phasewise_replay.driving.driver import drive_virtually
from phasewise_replay.driving.due import Due
from phasewise_replay.engine import Answer, Request, Resolved, started
from phasewise_replay.engines.simulated import SimulatedEngine
from phasewise_replay.plans.arms import Arm, SimulatedArm, SimulatedOptions, VllmArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.presets import FlagValue
from phasewise_replay.records.arm_record import ArmForecast
from phasewise_replay.runs.block import Written
from phasewise_replay.runs.preparing import Prepared
from phasewise_replay.verdicts import measures

LIMITS = ("max_num_batched_tokens", "max_num_seqs", "async_scheduling")
"""vLLM's settings that the scheduler depends on and that do not change the time of a step"""
SCHEDULER = "scheduler_config."
SPECULATION = "speculative-config"
TAKEN = (
    *("sent_ns", "ttft_ns", "duration_ns", "queue_ns", "prefill_ns", "decode_ns"),
    *("input_tokens", "cached_tokens", "output_tokens"),
)
"""what measures are made of"""


def forecast(
    plan: Plan, arm: Arm, resolved: Resolved, prepared: Prepared, written: Written
) -> ArmForecast | None:
    """Serve every session once; where that cannot be computed, the forecast says why.

    Step times hold for the baseline's flags; those that the arm changes are given to the model.
    Where the plan names a calibration of the arm's own server, they hold for all of its flags.
    `written` are the baseline's outputs, empty where this run did not see them. None where the plan
    asks for no forecast, or the arm is simulated.
    """
    if plan.forecast is None or resolved.basis == "simulated":
        return None
    try:
        simulated = _simulated(plan, plan.forecast, arm, resolved)
        return _served(plan, simulated, prepared, written)
    except PhasewiseError as error:
        return ArmForecast(reason=str(error))


def _simulated(plan: Plan, options: SimulatedOptions, arm: Arm, resolved: Resolved) -> SimulatedArm:
    """Return the arm as the simulation runs it.  Raises UsageError where it cannot."""
    baseline = plan.arms[0]
    if not (isinstance(arm, VllmArm) and isinstance(baseline, VllmArm)):
        raise UsageError("only a managed vLLM beside a managed vLLM is forecast")
    before = baseline.all_flags()
    if SPECULATION in before:
        raise UsageError("nothing is forecast beside a baseline with speculation")
    changed = {name: value for name, value in arm.all_flags().items() if before.get(name) != value}
    own = plan.calibrations.get(arm.name)
    path = own or options.calibration
    if path is not None and SPECULATION not in arm.all_flags():
        _refuse_drafting(path, arm)
    if own is not None:
        _refuse_unlike(own, resolved)
        options = SimulatedOptions(calibration=own)
        changed = {name: value for name, value in changed.items() if name == SPECULATION}
    flags = _reported(resolved, calibrated=options.calibration is not None) | changed
    return SimulatedArm(arm.name, replace(options, kv_blocks=resolved.blocks, flags=flags))


def _served(plan: Plan, arm: SimulatedArm, prepared: Prepared, written: Written) -> ArmForecast:
    """Serve every session once.  Raises UsageError where the prompts are not known in tokens."""
    sessions = [list(_in_tokens(session, prepared)) for session in prepared.sessions]
    if any(due.request.prompt_token_ids is None for session in sessions for due in session):
        raise UsageError("the server does not tell its prompts in tokens")
    accepted: list[Acceptance] = []

    def drafted(config: SpeculationConfig) -> DraftedCalls:
        found = _drafted(sessions, written, config)
        accepted.extend(drafts.steps().acceptance() for drafts in found.drafts.values())
        return found

    engine = SimulatedEngine(arm, drafting=drafted)
    rows: list[dict[str, object]] = []

    def answered(request: Request, answer: Answer) -> None:
        if request.warm:
            return
        own = {name: getattr(answer, name) for name in TAKEN}
        rows.append({"session_id": request.session_id, "half": 0, "block": 0} | own)

    with started(engine) as simulated:
        drive_virtually(sessions, engine, answered, concurrency=plan.concurrency)
    return ArmForecast(_means(rows), simulated.step_times, total(accepted).length)


def _refuse_drafting(path: str, arm: VllmArm) -> None:
    """Raise UsageError where the decode steps of a calibration verify drafts, as the arm's do not.

    And where it cannot be read.
    """
    if calibration.read(Path(path)).measured_drafting:
        raise UsageError(
            f"`{path}` was measured while the server drafted, and the arm `{arm.name}` does not "
            "draft"
        )


def _refuse_unlike(path: str, resolved: Resolved) -> None:
    """Raise UsageError for a calibration of a server with other settings than the arm's has."""
    for name, value in calibration.read(Path(path)).server.settings.items():
        reported = resolved.settings.get(name, value)
        if reported != value:
            raise UsageError(
                f"`{path}` is of a server with `{name}` {value}; the arm's has {reported}"
            )


def _drafted(
    sessions: Sequence[Sequence[Due]], written: Written, config: SpeculationConfig
) -> DraftedCalls:
    """Compute what is drafted where calls write what they wrote on the baseline."""
    if not written:
        raise UsageError("accepted drafts are computed on the baseline's outputs, not known here")
    drafter = Drafter(config)
    drafts: dict[str, Drafts] = {}
    for request in (due.request for session in sessions for due in session):
        output, prompt = written.get(request.call_id), request.prompt_token_ids
        if output is not None and prompt is not None:
            call = CapturedCall(
                call_id=request.call_id,
                session_id=request.session_id,
                agent=None,
                prompt=prompt,
                output=output,
                output_tokens=request.output_tokens,
                hidden_tokens=0,
            )
            drafts[request.call_id] = stretched(drafter.drafts(call), call)
    return DraftedCalls(config, "computed on what the baseline wrote", drafts)


def _in_tokens(session: Sequence[Due], prepared: Prepared) -> Iterator[Due]:
    """Return the calls of a session with the prompts that the server's tokenizer makes."""
    for due in session:
        ids = prepared.token_ids.get(due.request.call_id)
        yield replace(due, request=replace(due.request, prompt_token_ids=ids))


def _reported(resolved: Resolved, *, calibrated: bool) -> dict[str, FlagValue]:
    """Return the limits that the server reports, as flags."""
    found: dict[str, FlagValue] = {}
    for name in LIMITS:
        value = resolved.settings.get(SCHEDULER + name)
        if isinstance(value, bool | int):
            found[name.replace("_", "-")] = value
    if resolved.prefix_caching is not None:
        found["enable-prefix-caching"] = resolved.prefix_caching
    if resolved.block_tokens is not None and not calibrated:
        found["block-size"] = resolved.block_tokens
    return found


def _means(rows: Sequence[Mapping[str, object]]) -> dict[str, float]:
    """Return every measure's mean over the sessions."""
    sessions = measures.of_sessions(pl.DataFrame(rows))
    means = {measure.name: sessions[measure.name].mean() for measure in measures.MEASURES}
    return {name: float(mean) for name, mean in means.items() if isinstance(mean, float)}
