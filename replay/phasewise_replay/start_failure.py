"""Wait for a server, and find the reason why it did not start in its log, as one line."""

import re

from phasewise_store.errors import UnsupportedArmError

from phasewise_replay.openai_client import OpenAiClient
from phasewise_replay.server_process import ServerEndedError, ServerProcess

# "(EngineCore pid=12) ERROR 11-24 16:14:53 [core.py:1510] ValueError: …" -> "ValueError: …"
_PREFIX = re.compile(r"^(\(.*? pid=\d+\) )?([A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[.*?\] ?)?")
_REASON = re.compile(r"^(?:[\w.]*(?:Error|Exception)|\S+: error): (?P<text>.+)")
_PYDANTIC = re.compile(r"^\s*Value error, (?P<text>.+?)(?: \[type=.*)?$")
_WRAPPERS = ("root cause", "validation error for")
"""an error that only refers to another one"""


def reason(log: str) -> str:
    """Return the last error that gives a cause, else the last error, else the last line."""
    lines = [_PREFIX.sub("", line) for line in log.splitlines() if line.strip()]
    errors = [match for line in lines if (match := _REASON.match(line) or _PYDANTIC.match(line))]
    causes = [match for match in errors if not any(word in match[0] for word in _WRAPPERS)]
    if found := causes or errors:
        return found[-1]["text"].strip()
    return lines[-1].strip() if lines else "the log is empty"


def wait_until_healthy(process: ServerProcess, client: OpenAiClient, *, timeout_s: float) -> None:
    """Wait until the server answers; raises UnsupportedArmError with its own reason if it exits."""
    try:
        process.wait_until(client.healthy, timeout_s=timeout_s)
    except ServerEndedError:
        raise UnsupportedArmError(reason(process.log())) from None
