"""The examples of schedulers are what their programs read, and run a command that exists."""

import configparser
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from phasewise_web.cli.main import make_parser

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "nightly"
CRON = re.compile(r"^15 3 \* \* \* (?P<command>.+)$", re.MULTILINE)


def unit(name: str) -> configparser.ConfigParser:
    """Read a systemd unit."""
    found = configparser.ConfigParser(interpolation=None, strict=True)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    found.read_string((EXAMPLES / name).read_text())
    return found


def systemd() -> str:
    """Give the command of the service that the timer starts."""
    timer, service = unit("phasewise-nightly.timer"), unit("phasewise-nightly.service")
    assert timer["Timer"]["OnCalendar"] == "*-*-* 03:15:00"
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert service["Service"]["Type"] == "oneshot"
    return service["Service"]["ExecStart"]


def cron() -> str:
    """Give the command of the crontab's line, without the mail."""
    (line,) = CRON.findall((EXAMPLES / "crontab").read_text())
    folder, command = str(line).split(" || ")[0].split(" && ")
    assert folder == "cd /srv/phasewise"
    return command


def github_actions() -> str:
    """Give the step that replays."""
    # BaseLoader: YAML 1.1 reads the key `on` as true
    document = yaml.load((EXAMPLES / "github-actions.yaml").read_text(), yaml.BaseLoader)
    assert document["on"]["schedule"] == [{"cron": "15 3 * * *"}]
    steps = document["jobs"]["replay"]["steps"]
    (command,) = [step["run"] for step in steps if "nightly" in step.get("run", "")]
    return str(command)


def kubernetes() -> str:
    """Give the container's command."""
    document = yaml.safe_load((EXAMPLES / "kubernetes-cronjob.yaml").read_text())
    assert (document["apiVersion"], document["kind"]) == ("batch/v1", "CronJob")
    pod = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}
    return shlex.join(container["command"])


@pytest.mark.parametrize("command", [systemd, cron, github_actions, kubernetes])
def test_each_scheduler_runs_a_nightly_that_resumes(command: Callable[[], str]) -> None:
    """Its words are parsed by the command line itself."""
    program, name, *words = shlex.split(command())
    assert (Path(program).name, name) == ("phasewise", "nightly")
    arguments = make_parser("nightly").parse_args([name, *words])
    assert arguments.resume
    assert arguments.db.name == "phasewise.duckdb"
