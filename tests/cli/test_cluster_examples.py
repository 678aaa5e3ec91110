"""The examples of clusters only start Ray, and run a command that exists."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from phasewise_web.cli.main import make_parser

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "cluster"


def slurm() -> str:
    """Give the command of the last step."""
    text = (EXAMPLES / "slurm.sbatch").read_text()
    shell = shutil.which("bash")
    assert shell is not None
    subprocess.run([shell, "-n", EXAMPLES / "slurm.sbatch"], check=True)
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", text, re.MULTILINE))
    assert {"nodes", "gpus-per-node", "time"} <= options.keys()
    assert len(re.findall(r"ray start --head ", text)) == 1
    assert len(re.findall(r"ray start --address=", text)) == 1
    (command,) = re.findall(r"(phasewise replay .*)$", text, re.MULTILINE)
    return str(command)


def kuberay() -> str:
    """Give the command that the file's head shows."""
    text = (EXAMPLES / "kuberay.yaml").read_text()
    document = yaml.safe_load(text)
    assert (document["apiVersion"], document["kind"]) == ("ray.io/v1", "RayCluster")
    head, workers = document["spec"]["headGroupSpec"], document["spec"]["workerGroupSpecs"]
    (container,) = head["template"]["spec"]["containers"]
    assert {port["containerPort"] for port in container["ports"]} == {6379, 10001}
    for group in workers:
        pod = group["template"]["spec"]
        (worker,) = pod["containers"]
        # the same installation on every node
        assert worker["image"] == container["image"]
        assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in worker["volumeMounts"]} == volumes
    (command,) = re.findall(r"^#   (phasewise replay .*)$", text, re.MULTILINE)
    return str(command)


@pytest.mark.parametrize("command", [slurm, kuberay])
def test_each_runs_a_replay_that_resumes(command: Callable[[], str]) -> None:
    """Its words are parsed by the command line itself."""
    program, name, *words = shlex.split(command())
    assert (program, name) == ("phasewise", "replay")
    arguments = make_parser("replay").parse_args([name, *words])
    assert arguments.resume
    assert arguments.cluster is not None
