"""A calibration by a step log: which steps it measures, and how a vLLM gets such a log."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
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
    path = tmp_path / "log"
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
    (mixed,) = logged.mixed_steps(StepLog(path, drafts=False))
    assert mixed.batch == Batch((Chunk(8, 0),), decodes=1, context=9, longest=9)
    assert mixed.seconds == pytest.approx(0.022)
    assert mixed.steps == 2


def test_one_engine_is_calibrated_at_a_time(tmp_path: Path) -> None:
    """Data-parallel engines share their router's requests as it likes."""
    path = tmp_path / "log"
    read = {"prefill_tokens": 8, "first_tokens": 1}
    path.write_bytes(line(1.0, **read) + line(1.0, engine=1, **read))
    with pytest.raises(UsageError, match="2 data-parallel engines"):
        logged.mixed_steps(StepLog(path, drafts=False))


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
