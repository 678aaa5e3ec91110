"""Calibrates a running server: looks at it, probes it within a time, fits its step times.

The server has to be idle: requests of others would be in every step that is measured. It is looked
at before and after.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from phasewise_analyzer.engine.deployments.calibration import Calibration, Server
from phasewise_analyzer.engine.step_times import step_fit
from phasewise_analyzer.engine.step_times.fitted_steps import StepKind, kind_of
from phasewise_analyzer.engine.step_times.kernel_preparation import NO_PREPARATION, Preparation
from phasewise_analyzer.engine.step_times.step_fit import Hardware
from phasewise_store.errors import UsageError

from phasewise_replay.calibration import logged, rounds, server_front
from phasewise_replay.calibration.probes import (
    DecodeProbe,
    Limits,
    MixedProbe,
    PrefillProbe,
    Probe,
    bursts,
    one_round,
)
from phasewise_replay.calibration.rounds import Report
from phasewise_replay.calibration.sending import Sender
from phasewise_replay.calibration.sglang_subject import SglangSubject
from phasewise_replay.calibration.subject import Subject
from phasewise_replay.calibration.vllm_subject import VllmSubject
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import SGLANG, VLLM
from phasewise_replay.engines import server_description
from phasewise_replay.engines.step_log import StepLog

WARM_UP = (PrefillProbe(64, 0), DecodeProbe(1, 32), MixedProbe(32, 0, 1, 32))
"""probes that are not counted: a server compiles and allocates at its first ones"""


def calibrate(
    client: OpenAiClient,
    *,
    seconds: float,
    sequences: int,
    gpu: str | None = None,
    hardware: Hardware | None = None,
    log: StepLog | None = None,
    report: Report = lambda done, planned: None,
) -> Calibration:
    """Measure a server for about so many seconds, with at most so many sequences at once.

    Where that is not enough for a fit, it goes on for up to three times as long.
    `log` is the step log of a vLLM that has one: mixed steps are taken from it.

    Raises UsageError where the server is busy, is neither vLLM nor SGLang, or is too slow for the
    time, and EngineError where it fails.
    """
    described = server_description.describe(client, engine="server", model=None)
    sender = Sender(client, vocabulary=described.vocabulary_tokens or 30_000)
    subject: Subject
    if server_description.is_sglang(described):
        if log is not None:
            raise UsageError("SGLang has no step log: its counters tell prefill and decode apart")
        client.dialect = SGLANG
        subject = SglangSubject(sender, described)
    else:
        client.dialect = VLLM
        subject = VllmSubject(sender, described)
        if log is None and subject.speculation is not None:
            raise UsageError(
                "the steps in which this vLLM verifies drafts are in its step log only: calibrate "
                "it with  --step-log FOLDER"
            )
    cache = described.blocks and described.blocks * subject.config.block_size
    limits = Limits(
        tokens=described.max_model_tokens or 4096,
        chunk_tokens=subject.config.step_tokens or described.max_model_tokens or 4096,
        sequences=min(sequences, subject.sequences),
        cache_tokens=cache,
    )
    for probe in _of_kinds(WARM_UP, subject):
        subject.run(probe)
    subject.front_s.clear()
    subject.preparing_s.clear()
    planned = _of_kinds(one_round(limits), subject)
    if log is not None:
        planned += bursts(limits)
        log.drafts = subject.speculation is not None
        log.mark()
    taken = frozenset[StepKind]() if log is None else logged.kinds(drafts=log.drafts)
    counted = set(subject.kinds) - taken
    steps = rounds.measured(subject, planned, seconds, report=report, kinds=counted)
    preparation = _preparation(subject.preparing_s)
    if log is not None:
        steps = [step for step in steps if kind_of(step.batch) in counted]
        steps += logged.steps(log, taken, preparation)
    subject.refuse_disturbed()
    busy_s = sender.front_busy_s(limits.sequences) if limits.sequences > 1 else 0.0
    server = Server(
        engine=subject.engine,
        version=described.version,
        model=described.model,
        gpu=gpu,
        settings={
            name: described.settings[name]
            for name in subject.step_settings
            if name in described.settings
        },
    )
    times = step_fit.fit(
        steps,
        source=f"calibration of {server.name}",
        made_at=datetime.now(UTC),
        hardware=hardware,
        kinds=subject.kinds,
        preparation=preparation,
    )
    front = server_front.front(subject.front_s, busy_s=busy_s)
    return Calibration(
        server,
        times,
        subject.config,
        described.blocks,
        front,
        subject.speculation,
        measured_drafting=subject.speculation is not None,
    )


def _preparation(longer_s: Sequence[float]) -> Preparation:
    """Return what steps with a new number of tokens take longer, in the middle."""
    return Preparation(max(0.0, float(np.median(longer_s)))) if longer_s else NO_PREPARATION


def _of_kinds(probes: Iterable[Probe], subject: Subject) -> list[Probe]:
    """Return the probes of steps that the engine has."""
    mixes = "mixed" in subject.kinds
    return [probe for probe in probes if mixes or not isinstance(probe, MixedProbe)]
