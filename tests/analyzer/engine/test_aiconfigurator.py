"""AIConfigurator as a source of step times: the real package, in a process that has it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.step_times.aiconfigurator import SYSTEMS, AiconfiguratorSteps
from phasewise_store.errors import MissingExtraError, UsageError

FOLDER = Path(__file__).resolve().parents[3] / ".engines" / "model-configs"
MODEL = "meta-llama/Meta-Llama-3.1-8B"

PROGRAM = f"""
import json
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.step_times.aiconfigurator import AiconfiguratorSteps
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_store.errors import UsageError

times = AiconfiguratorSteps("{MODEL}", gpus.find("h100-sxm"))
first = Batch(decodes=8, context=8 * 1000)
refused = []
for model, tp in (("nobody/unheard-of", 1), ("{MODEL}", 7)):
    try:
        AiconfiguratorSteps(model, gpus.find("h100-sxm"), tp=tp)
    except UsageError as error:
        refused.append(str(error))
print(json.dumps({{
    "decode": times.step_s(Batch(decodes=64, context=64 * 4096)),
    "halved": AiconfiguratorSteps("{MODEL}", gpus.find("h100-sxm"), tp=2).step_s(
        Batch(decodes=64, context=64 * 4096)
    ),
    "prefill": times.step_s(Batch((Chunk(4096, 0),))),
    "cached": times.step_s(Batch((Chunk(1024, 3072),))),
    "mixed": times.step_s(Batch((Chunk(4096, 0),), decodes=64, context=64 * 4096)),
    "run": times.decode_run_s(first, 500).tolist(),
    "steps": [
        times.step_s(Batch(decodes=8, context=8 * (1000 + place))) for place in range(500)
    ],
    "verified": times.step_s(Batch(decodes=8, context=8000, drafts=24)),
    "basis": times.basis.in_words,
    "refused": refused,
}}))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    """Run the program where the package is."""
    if not (FOLDER / "scipy").is_dir():
        pytest.skip("needs `aiconfigurator-core`; install it with:  make model-configs")
    packages = os.pathsep.join([str(FOLDER), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": packages},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "low-fidelity" not in done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def number(value: object) -> float:
    """Read a number."""
    assert isinstance(value, float)
    return value


@pytest.mark.engine
def test_times_are_those_of_the_kernels(found: dict[str, object]) -> None:
    """Decode reads 16 GB of weights and 34 GB of KV at 3.35 TB/s: 15 ms at the least."""
    assert 0.015 < number(found["decode"]) < 0.022
    assert number(found["decode"]) / 2 < number(found["halved"]) < number(found["decode"])
    assert number(found["cached"]) < number(found["prefill"]) / 2
    assert number(found["mixed"]) > max(number(found["prefill"]), number(found["decode"]))
    assert number(found["verified"]) > found["steps"][0]  # type: ignore[index]  # a list


@pytest.mark.engine
def test_a_run_of_decode_steps_is_its_steps(found: dict[str, object]) -> None:
    """Interpolated between nine of them: within half a percent of each, a tenth of all."""
    run, steps = found["run"], found["steps"]
    assert isinstance(run, list)
    assert isinstance(steps, list)
    assert len(run) == 500
    assert run == pytest.approx(steps, rel=0.005)
    assert sum(run) == pytest.approx(sum(steps), rel=0.001)


@pytest.mark.engine
def test_the_source_is_named_and_what_it_lacks_is_refused(found: dict[str, object]) -> None:
    """By model, GPU and ranks."""
    assert str(found["basis"]).startswith("aiconfigurator, AIConfigurator 0.")
    assert f"{MODEL} on h100-sxm with vLLM, error not measured" in str(found["basis"])
    refused = found["refused"]
    assert isinstance(refused, list)
    unheard, uneven = map(str, refused)
    assert unheard.startswith("AIConfigurator has no times of `nobody/unheard-of` on `h100_sxm`")
    assert "with 7 ranks" in uneven


@pytest.mark.engine
def test_the_names_of_gpus_are_those_of_the_package() -> None:
    """Each has a file there."""
    systems = FOLDER / "aiconfigurator_core" / "systems"
    if not systems.is_dir():
        pytest.skip("needs `aiconfigurator-core`; install it with:  make model-configs")
    assert {name for name in SYSTEMS.values() if not (systems / f"{name}.yaml").is_file()} == set()
    assert {gpus.find(name).name for name in SYSTEMS} == SYSTEMS.keys()


def test_a_gpu_without_data_is_refused() -> None:
    """Before anything is loaded."""
    with pytest.raises(UsageError, match="no data of `rtx-4090`"):
        AiconfiguratorSteps(MODEL, gpus.find("rtx-4090"))


def test_without_the_extra_its_name_is_said() -> None:
    """This environment does not have it."""
    with pytest.raises(MissingExtraError, match=r"phasewise\[aiconfigurator\]"):
        AiconfiguratorSteps(MODEL, gpus.find("h100-sxm"))
