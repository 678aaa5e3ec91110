"""Calibrations as files: what was measured comes back, and wrong files are named."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from phasewise_analyzer.engine.deployments import calibration
from phasewise_analyzer.engine.deployments.calibration import Calibration, Server
from phasewise_analyzer.engine.deployments.deployment import calibrated
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.speculation.config import NgramConfig, written
from phasewise_analyzer.engine.speculation.drafting_time import NGRAM_TOKEN_S, STEP_S
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.fitted_steps import FittedSteps, KindFit, terms
from phasewise_analyzer.engine.step_times.front import Front
from phasewise_analyzer.engine.step_times.kernel_preparation import NO_PREPARATION, Preparation
from phasewise_store.errors import UsageError
from phasewise_web.cli.main import main

SERVER = Server("vllm", "0.32.0", "models/tiny", "h100-sxm", {"model_config.dtype": "bfloat16"})


def made() -> Calibration:
    """Give a calibration in which a decode takes 10 ms and a prompt token 1 ms."""

    def kind(*coefficients: float) -> KindFit:
        return KindFit(coefficients, error=0.02, p90=0.04, worst=0.1, steps=20)

    fits = {
        "prefill": kind(0, 0.001, 0, 0, 0, 0),
        "decode": kind(0.01, 0, 0, 0),
        "mixed": kind(0.01, 0.001, 0, 0, 0, 0, 0),
    }
    times = FittedSteps(fits, f"calibration of {SERVER.name}", datetime.now(UTC))  # type: ignore[arg-type]  # names of kinds
    return Calibration(SERVER, times, SchedulerConfig(block_size=32), 1000, Front(0.005))


def test_a_calibration_comes_back_from_its_file(tmp_path: Path) -> None:
    """Server, fit, limits and the time outside the engine are those that were written."""
    path = tmp_path / "kept" / "tiny.json"
    calibration.write(path, made())
    found = calibration.read(path)
    assert found.server == SERVER
    assert found.config == SchedulerConfig(block_size=32)
    assert (found.blocks, found.front) == (1000, Front(0.005))
    assert found.times.step_s(Batch((Chunk(100, 0),))) == pytest.approx(0.1)
    assert found.times.fits == made().times.fits
    assert found.times.basis.error == pytest.approx(0.02)


def test_limits_may_change_but_not_what_was_measured() -> None:
    """`max-num-seqs` is a limit; another KV format has other step times."""
    three = SchedulerConfig(block_size=32, max_num_seqs=3)
    assert made().with_flags({"max-num-seqs": "3"}, None).config == three
    assert made().with_flags({}, 77).blocks == 77
    with pytest.raises(UsageError, match="does not model `kv-cache-dtype`"):
        made().with_flags({"kv-cache-dtype": "fp8"}, None)


def test_a_calibrated_server_may_speculate() -> None:
    """Drafts count as sequences of the fit, and the host's time to draft is added."""
    ngram = '{"method": "ngram", "num_speculative_tokens": 4}'
    engine = calibrated(made().with_flags({"speculative-config": ngram}, None))
    assert engine.speculation == NgramConfig(4)
    assert engine.config.planned_steps == 1
    batch = Batch(decodes=2, context=1000, longest=600, drafts=3)
    assert terms(batch) == [1, 5, 0, 1000]
    assert terms(replace(batch, chunks=(Chunk(100, 0),))) == [1, 105, 0, 5000, 1000, 5, 0]
    # measured with asynchronous scheduling, which hides what speculation exposes
    assert engine.times.step_s(batch) == pytest.approx(0.01 + STEP_S + 1000 * NGRAM_TOKEN_S)
    waiting = replace(made(), config=SchedulerConfig(block_size=32, async_scheduling=False))
    engine = calibrated(waiting.with_flags({"speculative-config": ngram}, None))
    assert engine.times.step_s(batch) == pytest.approx(0.01 + 1000 * NGRAM_TOKEN_S)


def drafting() -> Calibration:
    """Give a calibration of a server that drafted when it was measured."""
    times = replace(made().times, preparation=Preparation(0.003))
    config = SchedulerConfig(block_size=32, async_scheduling=False)
    return replace(
        made(),
        times=times,
        config=config,
        speculation=NgramConfig(4, 2, 3),
        measured_drafting=True,
    )


def test_what_a_server_drafted_comes_back_with_its_calibration(tmp_path: Path) -> None:
    """And what it took to prepare kernels; a file from before either was measured has neither."""
    path = tmp_path / "drafting.json"
    calibration.write(path, drafting())
    found = calibration.read(path)
    assert (found.speculation, found.measured_drafting) == (NgramConfig(4, 2, 3), True)
    assert found.times.preparation == Preparation(0.003)
    document = json.loads(path.read_text())
    del document["speculation"], document["preparation"]
    path.write_text(json.dumps(document))
    found = calibration.read(path)
    assert (found.speculation, found.measured_drafting) == (None, False)
    assert found.times.preparation == NO_PREPARATION


def test_what_was_measured_while_it_drafted_holds_for_these_drafts() -> None:
    """Nothing is added for drafting, and another way to draft has other times."""
    same = written(NgramConfig(4, 2, 3))
    batch = Batch(decodes=2, context=1000, longest=600, drafts=3)
    for flags in ({}, {"speculative-config": same}):
        engine = calibrated(drafting().with_flags(flags, None))
        assert engine.speculation == NgramConfig(4, 2, 3)
        assert engine.times.step_s(batch) == pytest.approx(0.01)
    with pytest.raises(UsageError, match="while it drafted in another way"):
        drafting().with_flags({"speculative-config": same.replace("4", "5")}, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "is not a calibration"),
        ("{}", "is not a calibration"),
        ('{"format": 0}', "was written by another version"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    """A file of another kind or version is refused."""
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        calibration.read(path)


def test_a_simulation_stands_on_a_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prompt of 100 tokens takes 5 ms outside and 100 ms in the engine, and a decode 10 ms."""
    path, stream = tmp_path / "tiny.json", tmp_path / "stream.jsonl"
    calibration.write(path, made())
    stream.write_text(json.dumps({"arrival_s": 0, "input_tokens": 100, "output_tokens": 3}))
    assert main(["simulate", str(stream), "--calibration", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["requests"][0]["ttft_s"] == pytest.approx(0.105)
    assert answer["requests"][0]["tpot_s"] == pytest.approx(0.010)
    assert answer["step_times"]["kind"] == "fit"
    assert answer["step_times"]["error"] == pytest.approx(0.02)
    assert "measured today (prefill ±2.0%" in answer["step_times"]["source"]


def test_a_calibration_names_its_own_hardware(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--gpu` beside it is refused, and so is a simulation without either."""
    path, stream = tmp_path / "tiny.json", tmp_path / "stream.jsonl"
    calibration.write(path, made())
    stream.write_text(json.dumps({"arrival_s": 0, "input_tokens": 100, "output_tokens": 3}))
    words = ["simulate", str(stream)]
    assert main([*words, "--calibration", str(path), "--gpu", "h100"]) == 2
    assert "leave out --shape, --gpu" in capsys.readouterr().err
    assert main(words) == 2
    assert "with --shape and --gpu, or with --calibration" in capsys.readouterr().err


def test_a_calibrated_engine_is_named_by_its_server() -> None:
    """Engine, version, model and GPU."""
    assert calibrated(made()).name == "vllm 0.32.0, tiny on h100-sxm"
