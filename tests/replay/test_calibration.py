"""The probes of a calibration, and the servers that it refuses."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.engine.deployments import calibration
from phasewise_analyzer.engine.deployments.calibration import Calibration, Server
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.speculation.config import NgramConfig
from phasewise_analyzer.engine.step_times.fitted_steps import KINDS, FittedSteps
from phasewise_analyzer.engine.step_times.front import NO_FRONT
from phasewise_replay.calibration.probes import (
    DECODED,
    MIXED_DECODED,
    DecodeProbe,
    Limits,
    MixedProbe,
    PrefillProbe,
    one_round,
    varied,
)
from phasewise_replay.engines.server_process import free_port
from phasewise_replay.engines.sglang_counters import LOADS
from phasewise_replay.engines.vllm_command import command, environment
from phasewise_replay.plans.presets import FlagValue
from phasewise_web.cli import calibrate
from phasewise_web.cli.main import main

from tests.real_server import (
    NO_WORKER_FLAG,
    NO_WORKER_VALUE,
    NO_WORKER_VARIABLES,
    TINY,
    VLLM,
    installed,
    serving,
)

GENEROUS = Limits(tokens=32_768, chunk_tokens=8192, sequences=64, cache_tokens=None)


@given(
    st.integers(64, 40_000),
    st.integers(32, 8192),
    st.integers(1, 64),
    st.none() | st.integers(64, 200_000),
)
def test_no_probe_exceeds_the_limits(
    tokens: int, chunk_tokens: int, sequences: int, cache_tokens: int | None
) -> None:
    """Sequences fit in the context, steps in the budget, and all together in half of the cache."""
    for probe in one_round(Limits(tokens, chunk_tokens, sequences, cache_tokens)):
        match probe:
            case PrefillProbe(new, cached):
                assert new <= chunk_tokens
                assert new + cached < tokens
            case DecodeProbe(count, context):
                assert count <= sequences
                assert context + DECODED <= tokens
                assert cache_tokens is None or count * (context + DECODED) <= cache_tokens
            case MixedProbe(new, cached, count, context):
                assert count + 1 <= sequences
                assert new + count <= chunk_tokens
                assert context + MIXED_DECODED <= tokens


def test_a_round_that_stops_half_way_has_every_kind() -> None:
    """Kinds come in turn: half of a round holds about half of each kind."""
    whole = one_round(GENEROUS)
    half = whole[: len(whole) // 2]
    for kind in (PrefillProbe, DecodeProbe, MixedProbe):
        share = sum(isinstance(one, kind) for one in half) / sum(
            isinstance(one, kind) for one in whole
        )
        assert 0.4 < share < 0.6


def test_prompts_of_a_probe_have_other_lengths_in_every_round() -> None:
    """Up to an eighth shorter; what decodes stays as it is."""
    drawn = np.random.default_rng(1)
    lengths = {varied(PrefillProbe(512, 256), drawn) for _ in range(20)}
    assert len(lengths) > 10
    assert all(
        isinstance(one, PrefillProbe) and 448 <= one.new <= 512 and one.cached == 256
        for one in lengths
    )
    assert varied(DecodeProbe(4, 32), drawn) == DecodeProbe(4, 32)


@contextmanager
def server(answers: Mapping[str, str]) -> Iterator[str]:
    """Serve a model list and further answers by path."""
    models = json.dumps({"data": [{"id": "tiny", "max_model_len": 4096}]})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = ({"/v1/models": models} | dict(answers)).get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # the base's name
            """Say nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


INFO: dict[str, object] = {"version": "0.5.23", "page_size": 1, "max_total_num_tokens": 4096}
LOAD = {
    "num_running_reqs": 2,
    "num_waiting_reqs": 1,
    "total_prefill_uncached_tokens": 40,
    "total_prefill_busy_us": 900,
    "decode_moments": [0, 0, 0, 0, 0, 0],
}


DRAFTING = {"speculative_config": {"method": "ngram", "num_speculative_tokens": 3}}


def vllm_metrics(text: str) -> dict[str, str]:
    """Give the answers of a vLLM."""
    return {"/metrics": text}


def sglang(info: dict[str, object], loads: list[dict[str, object]]) -> dict[str, str]:
    """Give the answers of an SGLang."""
    return {
        "/server_info?config_format=json": json.dumps(INFO | info),
        LOADS: json.dumps({"loads": loads}),
    }


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            vllm_metrics(
                'vllm:cache_config_info{block_size="16"} 1\n'
                "vllm:num_requests_running 2\nvllm:num_requests_waiting 1\n"
            ),
            "is busy (3 requests)",
        ),
        (
            vllm_metrics(
                'vllm:cache_config_info{block_size="16"} 1\n'
                "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n"
            )
            | {"/server_info?config_format=json": json.dumps({"vllm_config": DRAFTING})},
            "in its step log only: calibrate it with --step-log FOLDER",
        ),
        (vllm_metrics("other:metric 1\n"), "has no vLLM metrics at `/metrics`"),
        (sglang({}, [LOAD]), "is busy (3 requests)"),
        (sglang({}, []), "no counters of its steps at `/v1/loads?include=all`"),
        (sglang({}, [LOAD, LOAD]), "has 2 data-parallel ranks: calibrate one of them alone"),
        (
            sglang({"enable_mixed_chunk": True}, [LOAD]),
            "SGLang with `enable_mixed_chunk=True` schedules in a way that the simulation",
        ),
    ],
)
def test_a_server_that_cannot_be_measured_is_refused(
    answers: Mapping[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A busy server, or one that does not say, ends with exit code 2; nothing is written."""
    with server(answers) as url:
        assert main(["calibrate", url, "--out", str(tmp_path / "x.json")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert not (tmp_path / "x.json").exists()


def test_calibrations_with_and_without_drafts_have_files_of_their_own() -> None:
    """Both are of one model with equal settings, and neither replaces the other."""
    fits = FittedSteps({}, "made", datetime.now(UTC))
    plain = Calibration(
        Server("vllm", "0.32.0", "models/tiny", None), fits, SchedulerConfig(), None, NO_FRONT
    )
    names = {
        calibrate.file_name(replace(plain, speculation=speculation))
        for speculation in (None, NgramConfig(3), NgramConfig(4))
    }
    assert len(names) == 3
    assert all(name.startswith("vllm-0.32.0-tiny-") for name in names)


@pytest.mark.engine
def test_a_real_vllm_is_calibrated(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    alone: Callable[[], AbstractContextManager[None]],
) -> None:
    """The fit has all kinds, grows with tokens and sequences, and knows the server's limits."""
    installed(VLLM, TINY)
    port, path = free_port(), tmp_path / "tiny.json"
    flags: dict[str, FlagValue] = {
        "max-model-len": 4096,
        "max-num-batched-tokens": 1024,
        "max-num-seqs": 32,
        NO_WORKER_FLAG: NO_WORKER_VALUE,
    }
    words = command(VLLM, model=str(TINY), port=port, flags=flags, on_cpu=True)
    with serving(words, environment(NO_WORKER_VARIABLES, on_cpu=True), port=port) as url:
        words = ["calibrate", url, "--out", str(path), "--sequences", "4", "--json"]
        words += ["--seconds", "30"]
        code = main(words)
        if code != 0:  # too few steps that nothing disturbed
            capsys.readouterr()
            with alone():
                code = main(words)
    assert code == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["kinds"]) == set(KINDS)
    assert answer["front_s"] > 0
    assert answer["preparation_s"] > 0
    found = calibration.read(path)
    assert found.server.settings["model_config.dtype"] == "torch.float32"
    assert found.config.step_tokens == 1024
    assert isinstance(found.config, SchedulerConfig)
    assert found.config.max_num_seqs == 32
    _, token, bent, pairs, *_ = found.times.fits["prefill"].coefficients
    assert token + bent + pairs > 0
    assert found.times.fits["decode"].coefficients[0] > 0
    assert found.times.preparation.seconds > 0  # on a CPU
