"""Phasewise's side of `benchmarks/driver.py`: one block of a replay, with all that a run does.

Sessions of growing chats are sent to a server by `Block`, and every call is stored in DuckDB.
Prints the absolute send lag that the driver has recorded, as JSON.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from phasewise_replay.driving.due import Due
from phasewise_replay.engine import Request, started
from phasewise_replay.engines.url import UrlEngine
from phasewise_replay.plans.arms import UrlArm
from phasewise_replay.records.sink import Sink
from phasewise_replay.runs.block import Block, Turn
from phasewise_replay.runs.preparing import LEAST_VOCABULARY, Prepared
from phasewise_replay.runs.run_record import StoreRecording
from phasewise_store import runs
from phasewise_store.run_facts import Arm, Run
from phasewise_store.store import Store

WORDS = "the model reads what agents send again and again with every call of a session"


def main() -> None:
    """Drive the sessions and print the lag."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--kilobytes", type=int, required=True)
    parser.add_argument("--output-tokens", type=int, required=True)
    arguments = parser.parse_args()
    sessions = tuple(
        tuple(
            Due(
                request(session, step, messages, arguments.output_tokens),
                0,
                (step - 1,) if step else (),
            )
            for step, messages in enumerate(chat(session, arguments.calls, arguments.kilobytes))
        )
        for session in range(arguments.sessions)
    )
    prepared = Prepared(sessions, {}, 0, LEAST_VOCABULARY)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "driver.db") as store:
        runs.add_run(store, Run("driver", "driver", "", time.time_ns()))
        runs.put_arm(store, Arm("driver", "url", 0, "url", "{}", "{}"))
        engine = UrlEngine(UrlArm("url", arguments.url))
        with started(engine) as resolved, Sink(StoreRecording(store), lambda: None) as sink:
            block = Block(Turn("driver", "url", 0), engine, resolved, prepared)
            record = block.run(sink, concurrency=arguments.in_flight)
        measured = runs.measured(store, "driver")
    lag_ms = measured["lag_ns"].to_numpy() / 1e6
    print(
        json.dumps(
            {
                "calls": measured.height,
                "errors": measured["error"].count(),
                "lag_p50_ms": float(np.quantile(lag_ms, 0.5)),
                "lag_p99_ms": float(np.quantile(lag_ms, 0.99)),
                "wall_s": (record.wall_ns or 0) / 1e9,
                "client_cpu_s": (record.client_cpu_ns or 0) / 1e9,
            }
        )
    )


def chat(session: int, calls: int, kilobytes: int) -> list[tuple[bytes, ...]]:
    """Return the messages of each call; each call adds an answer and what a tool returned."""
    messages = [message("user", session, 0, kilobytes * 1000)]
    prompts = [tuple(messages)]
    for step in range(1, calls):
        messages += [message("assistant", session, step, 300), message("user", session, step, 1000)]
        prompts.append(tuple(messages))
    return prompts


def message(role: str, session: int, step: int, size: int) -> bytes:
    """Return a message with about so many bytes of text that no other one has."""
    words = f"{session}.{step} " + WORDS + " "
    text = (words * (size // len(words) + 1))[:size]
    return json.dumps({"role": role, "content": text}).encode()


def request(session: int, step: int, messages: Sequence[bytes], output_tokens: int) -> Request:
    """Return a call of a session."""
    name = f"s{session}-{step}"
    return Request(name, f"s{session}", name, step, output_tokens, messages=tuple(messages))


if __name__ == "__main__":
    main()
