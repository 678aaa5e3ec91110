"""Wait for a server, and find in its log, as one line, why it did not start or why it exited."""

import re

from phasewise_store.errors import EngineError, UnsupportedArmError

from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.streamed_answer import HTTP_ERROR
from phasewise_replay.engine import Answer
from phasewise_replay.engines.server_process import ServerEndedError, ServerProcess

# "(EngineCore pid=12) ERROR 11-24 16:14:53 [core.py:1510] ValueError: …" -> "ValueError: …"
_PREFIX = re.compile(r"^(\(.*? pid=\d+\) )?([A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[.*?\] ?)?")
_REASON = re.compile(r"^(?:[\w.]*(?:Error|Exception)|\S+: error): (?P<text>.+)")
_PYDANTIC = re.compile(r"^\s*Value error, (?P<text>.+?)(?: \[type=.*)?$")
_WRAPPERS = ("root cause", "validation error for")
"""an error that only refers to another one"""


EXIT_S = 1.0
"""the guard looks every 0.1 s whether the server runs"""


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


def raise_if_exited(process: ServerProcess | None, answer: Answer, *, engine: str) -> Answer:
    """Return an answer; raises EngineError with the last error of the log if its server exited.

    A server is still seen as running for a moment after its connections are gone, in which all
    other calls would fail too.
    """
    if process is None or answer.error is None:
        return answer
    lost = not answer.error.startswith(HTTP_ERROR)
    if not process.alive or (lost and process.exits_within(EXIT_S)):
        raise EngineError(f"{engine} exited: {reason(process.log())}")
    return answer
