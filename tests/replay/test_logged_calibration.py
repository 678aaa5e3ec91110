"""A calibration by a step log: which steps it measures, and how a vLLM gets such a log."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.kernel_preparation import NO_PREPARATION, Preparation
from phasewise_replay.calibration import logged
from phasewise_replay.calibration.probes import (
    BURST_DECODED,
    MIXED_DECODED,
    BurstProbe,
    Limits,
    bursts,
)
from phasewise_replay.engines.step_log import StepLog
from phasewise_store.errors import UsageError
from phasewise_web.cli.main import main

from tests.replay.test_step_log import ended, line

DECODE = {"decode_requests": 1, "decode_tokens": 1, "more_tokens": 1}
BOTH = {"decode_requests": 2, "decode_tokens": 2, "more_tokens": 2}


@given(st.integers(64, 40_000), st.integers(1, 64), st.none() | st.integers(64, 200_000))
def test_no_burst_exceeds_the_limits(tokens: int, sequences: int, cache_tokens: int | None) -> None:
    """Prompts and sequences that decode fit in the server together, and in half of its cache."""
    for probe in bursts(Limits(tokens, 2048, sequences, cache_tokens)):
        assert isinstance(probe, BurstProbe)
        assert probe.prompts + probe.count <= sequences
        assert max(probe.new + BURST_DECODED, probe.context + MIXED_DECODED) <= tokens
        held = probe.prompts * (probe.new + BURST_DECODED)
        held += probe.count * (probe.context + MIXED_DECODED)
        assert cache_tokens is None or held <= cache_tokens / 2


def test_steps_that_are_alike_are_one_measurement(tmp_path: Path) -> None:
    """Two steps that read a prompt beside a decode, of 20 and 24 ms; all others are left out."""
    path = written(tmp_path)
    (mixed,) = logged.steps(StepLog(path, drafts=False), {"mixed"}, NO_PREPARATION)
    assert mixed.batch == Batch((Chunk(8, 0),), decodes=1, context=9, longest=9)
    assert mixed.seconds == pytest.approx(0.022)
    assert mixed.steps == 2


def test_what_a_step_took_to_prepare_kernels_is_taken_off(tmp_path: Path) -> None:
    """The first of two alike had a number of tokens that was new, and took 4 ms of 20 for it."""
    taken = logged.steps(StepLog(written(tmp_path), drafts=False), {"mixed"}, Preparation(0.004))
    assert [step.seconds for step in taken] == [pytest.approx((0.016 + 0.024) / 2)]


def test_steps_that_verify_drafts_are_told_apart_by_how_many(tmp_path: Path) -> None:
    """One call: its second step verifies two drafts in 12 ms, its third none in 10."""
    path = tmp_path / "log"
    call = ended("1") | {"output_tokens": 5, "decode_s": 0.022}
    path.write_bytes(
        line(1.0, prefill_tokens=8, first_tokens=1)
        + line(1.012, gap_s=0.012, **DECODE | {"decode_tokens": 3})
        + line(1.022, gap_s=0.010, ended=[call], **DECODE)
    )
    log = StepLog(path, drafts=True)
    found = logged.steps(log, logged.kinds(drafts=True), NO_PREPARATION)
    assert [(step.batch.decodes, step.batch.drafts) for step in found] == [(1, 2), (1, 0)]
    assert [step.seconds for step in found] == [pytest.approx(0.012), pytest.approx(0.010)]


def written(folder: Path) -> Path:
    """Write the log of two calls that decode while another prompt is read."""
    path = folder / "log"
    read = {"prefill_tokens": 8, "first_tokens": 1}
    lines = []
    for at_s, mixed_s in ((1.0, 0.020), (2.0, 0.024)):
        long = ended(f"{at_s}") | {"output_tokens": 3, "decode_s": mixed_s + 0.01}
        short = ended(f"{at_s} beside") | {"prefill_s": mixed_s}
        lines += [
            line(at_s, **read),
            line(at_s + mixed_s, gap_s=mixed_s, **read, **DECODE),
            line(at_s + mixed_s + 0.01, gap_s=0.01, ended=[long, short], **BOTH),
        ]
    path.write_bytes(b"".join(lines))
    return path


def test_one_engine_is_calibrated_at_a_time(tmp_path: Path) -> None:
    """Data-parallel engines share their router's requests as it likes."""
    path = tmp_path / "log"
    read = {"prefill_tokens": 8, "first_tokens": 1}
    path.write_bytes(line(1.0, **read) + line(1.0, engine=1, **read))
    with pytest.raises(UsageError, match="2 data-parallel engines"):
        logged.steps(StepLog(path, drafts=False), {"mixed"}, NO_PREPARATION)


def test_a_folder_without_a_log_is_made_ready_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has the variables and the flag with which vLLM has to be started."""
    folder = tmp_path / "steps"
    assert main(["calibrate", "http://unused", "--step-log", str(folder)]) == 2
    said = "".join(capsys.readouterr().err.split())
    for word in (f"PYTHONPATH={folder}", f"{folder}/steps.jsonl", "--enable-logging-iteration"):
        assert word in said
    assert (folder / "phasewise_vllm_step_log-1.dist-info" / "entry_points.txt").exists()
