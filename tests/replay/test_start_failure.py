"""A server that exits in the middle of an arm, as its calls see it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from phasewise_replay.engine import Answer
from phasewise_replay.engines import start_failure
from phasewise_replay.engines.server_process import ServerProcess
from phasewise_store.errors import EngineError


@contextmanager
def server(seconds: float) -> Iterator[ServerProcess]:
    """Start a server that says why it will exit, and exits after so many seconds."""
    program = "import time; print('RuntimeError: out of memory', flush=True); "
    command = [sys.executable, "-c", f"{program}time.sleep({seconds})"]
    process = ServerProcess(command, {}, grace_s=1.0)
    try:
        process.wait_until(lambda: "memory" in process.log(), timeout_s=30)
        yield process
    finally:
        process.stop()


def test_a_lost_connection_waits_for_the_server_s_exit() -> None:
    """The server still runs when its connection is lost; the error is the last one of its log."""
    answer = Answer(sent_ns=1, duration_ns=1, error="ServerClosedError: closed")
    with server(0.2) as dying, pytest.raises(EngineError, match="vLLM exited: out of memory"):
        start_failure.raise_if_exited(dying, answer, engine="vLLM")


def test_a_refusal_is_an_answer_of_a_server_that_runs() -> None:
    """Nobody waits for the server to exit."""
    answer = Answer(sent_ns=1, duration_ns=1, error="HTTP 400: too long")
    with server(60) as running:
        assert start_failure.raise_if_exited(running, answer, engine="vLLM") is answer
