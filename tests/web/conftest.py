"""A store with real sample traces, a live trace and a run, and the application over it."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from phasewise_analyzer.analyse import analyse
from phasewise_collector import samples
from phasewise_collector.importing import import_paths
from phasewise_replay.nights import night_record, nightly
from phasewise_replay.nights.nightly_file import DEFAULT_GATES
from phasewise_replay.plans import plan_file
from phasewise_replay.runs.run import run
from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.web.client import client as pages_of

HOSTILE = '<script>alert("x")</script>&"\''


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Give a real database file with everything that the pages show."""
    path: Path = tmp_path_factory.mktemp("web") / "p.duckdb"
    with Store.open(path) as store:
        with samples.folder() as folder:
            import_paths(store, samples.traces(folder))
        store.write(_hostile())
        analyse(store)
        plan = resources.files("phasewise_web.cli").joinpath("demo.yaml").read_text("utf-8")
        night = nightly.judge(store, run(store, plan_file.parse(plan, "demo.yaml")), DEFAULT_GATES)
        night_record.record(store, night, DEFAULT_GATES)
        yield store


@pytest.fixture(scope="session")
def client(seen: Store) -> TestClient:
    """Give a client that raises nothing: errors are pages."""
    return pages_of(seen, raises=False)


def _hostile() -> Batch:
    """Make a session whose every name wants to be markup."""
    name = f"s/{HOSTILE}"
    message = text_segment("message", f'{{"role":"user","content":"{HOSTILE}"}}', "user")
    return Batch(
        Source("live", "live", "otlp", "otlp"),
        sessions=(Session(name, HOSTILE, outcome=HOSTILE),),
        agents=(Agent(f"{name}/a", name, HOSTILE),),
        llm_calls=(
            LlmCall(
                call_id=f"{name}.0",
                session_id=name,
                agent_id=f"{name}/a",
                step=0,
                usage=Usage(
                    uncached_tokens=10,
                    cache_read_tokens=90,
                    output_tokens=3,
                    ambiguous=True,
                    input_tokens_high=190,
                ),
                model=HOSTILE,
                started_ns=1_760_000_000 * 10**9,
                duration_ns=10**9,
                prompt=(message,),
                output=(message,),
                error=HOSTILE,
            ),
        ),
    )
