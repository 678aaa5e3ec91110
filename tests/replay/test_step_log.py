"""The step log of a vLLM: how the plugin is put where vLLM finds it, and how its lines are read."""

import os
import sys
from importlib.metadata import distributions
from pathlib import Path

import orjson
import pytest
from phasewise_replay.engine import PhaseSeconds, Unmeasured
from phasewise_replay.engines import step_log, vllm_plugin
from phasewise_replay.engines.step_log import StepLog

STUB = Path(__file__).parent / "gpu" / "stub"


def line(at_s: float, **changes: object) -> bytes:
    """Write a step as the plugin does: nothing but what a test says."""
    row: dict[str, object] = {
        **{"at_s": at_s, "engine": 0, "prefill_tokens": 0, "decode_requests": 0},
        **{"decode_tokens": 0, "first_tokens": 0, "more_tokens": 0, "gap_s": None, "ended": []},
    }
    return orjson.dumps(row | changes) + b"\n"


def ended(name: str) -> dict[str, object]:
    """Describe a call of 8 tokens that was read in 20 ms and decoded in 10."""
    return {
        **{"call_id": name, "prompt_tokens": 8, "cached_tokens": 0, "output_tokens": 2},
        **{"prefill_s": 0.02, "decode_s": 0.01, "preemptions": 0},
    }


def test_python_finds_the_plugin_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder has a distribution with one entry point, and its module is there."""
    monkeypatch.setenv("PYTHONPATH", "before")
    monkeypatch.delenv("VLLM_PLUGINS", raising=False)
    set_to = vllm_plugin.install(tmp_path, tmp_path / "log", {"OMP_NUM_THREADS": "1"})
    (found,) = distributions(path=[str(tmp_path)])
    (point,) = found.entry_points
    assert (point.group, point.value) == (
        "vllm.stat_logger_plugins",
        f"{vllm_plugin.MODULE}:StepLog",
    )
    assert f'"{vllm_plugin.VARIABLE}"' in (tmp_path / f"{point.module}.py").read_text("utf-8")
    assert set_to == {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), "before"]),
        vllm_plugin.VARIABLE: str(tmp_path / "log"),
    }


def test_a_list_of_the_only_plugins_gets_ours_too(tmp_path: Path) -> None:
    """An arm that names plugins has vLLM load no others."""
    set_to = vllm_plugin.install(tmp_path, tmp_path / "log", {"VLLM_PLUGINS": "mine"})
    assert set_to["VLLM_PLUGINS"] == "mine,phasewise-steps"


def test_a_vllm_without_such_plugins_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown flag would keep it from starting."""
    monkeypatch.setenv("PYTHONPATH", str(STUB))
    assert not vllm_plugin.supported(Path(sys.executable))


def test_steps_since_the_mark_are_shared(tmp_path: Path) -> None:
    """A prefill of 20 ms and a decode step of 10; what came before and a cut line do not count."""
    path = tmp_path / "log"
    path.write_bytes(line(1.0, prefill_tokens=8, first_tokens=1))
    log = StepLog(path, drafts=False)
    log.mark()
    read = line(2.0, prefill_tokens=8, first_tokens=1)
    decode = {"decode_requests": 1, "decode_tokens": 1, "more_tokens": 1, "gap_s": 0.01}
    last = line(2.01, **decode, ended=[ended("cmpl-7-0")])
    with path.open("ab") as file:
        file.write(read + last + b'{"at_s": 3')
    found = log.shared()
    assert isinstance(found, PhaseSeconds)
    assert (found.prefill_s, found.decode_s) == pytest.approx((0.02, 0.01))
    assert (found.steps, found.mixed) == (2, 0)
    assert found.calls == {"cmpl-7": pytest.approx((0.02, 0.01))}
    assert found.own_s == {"cmpl-7": (0.02, 0.01)}


def test_data_parallel_engines_have_their_own_steps(tmp_path: Path) -> None:
    """Each has its clock; what is counted of the phases is the mean of the engines."""
    path = tmp_path / "log"
    decode = {"decode_requests": 1, "decode_tokens": 1, "more_tokens": 1, "gap_s": 0.01}
    path.write_bytes(
        line(2.0, prefill_tokens=8, first_tokens=1)
        + line(2.005, prefill_tokens=8, first_tokens=1, engine=1)
        + line(2.01, **decode, ended=[ended("cmpl-a-0")])
        + line(2.015, **decode, ended=[ended("cmpl-b-0")], engine=1)
    )
    found = StepLog(path, drafts=False).shared()
    assert isinstance(found, PhaseSeconds)
    assert (found.prefill_s, found.decode_s) == pytest.approx((0.02, 0.01))
    assert sorted(found.calls) == ["cmpl-a", "cmpl-b"]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, step_log.NOT_LOADED),
        (b"", step_log.NO_STEPS),
        (line(1.0, prefill_tokens=8, first_tokens=1), step_log.UNKNOWN),
    ],
)
def test_what_is_not_known_has_its_reason(
    tmp_path: Path, written: bytes | None, reason: str
) -> None:
    """No file, no steps, or steps of calls that did not end."""
    path = tmp_path / "log"
    if written is not None:
        path.write_bytes(written)
    assert StepLog(path, drafts=False).shared() == Unmeasured(reason)
