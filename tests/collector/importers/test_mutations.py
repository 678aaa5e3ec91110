"""No content stops an importer: whatever stands in a field, records are skipped with a reason."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from phasewise_collector.importers import copilot_cli, detect, gemini_cli, opencode, trace_file
from phasewise_collector.importers.importer import Importer, Skipped, Trace

from tests.collector.importers import test_agent_tools, test_copilot, test_opencode

CASES = Path(__file__).parents[2] / "cases" / "reports"
FILES = [
    ("aiperf", CASES / "aiperf-sessions" / "dataset.jsonl"),
    ("aiperf", CASES / "aiperf-mooncake" / "aiperf.jsonl"),
    ("qwen-bailian", CASES / "bailian" / "qwen_traceA_blksz_16.jsonl"),
    ("codex-exec", CASES / "codex-exec-json" / "exec.jsonl"),
    ("gemini-cli", CASES / "gemini-session" / "session-2026-09-01.json"),
    ("mini-swe-agent", CASES / "miniswe-traj" / "x.traj.json"),
    ("mooncake", CASES / "mooncake-badhash" / "m.jsonl"),
    ("batch-output", CASES / "openai-batch" / "batch_output.jsonl"),
    ("opencode", CASES / "opencode" / "msg_1.json"),
    ("sharegpt", CASES / "sharegpt" / "ShareGPT.json"),
    ("tau2-bench", CASES / "tau2-headless" / "run.json"),
]
ODD: list[Any] = [None, True, -1, 10**30, 0.5, float("nan"), "", "x\ud800", [], [[]], {}, {"a": {}}]


def mutations(value: Any) -> Iterator[Any]:  # noqa: ANN401  # any JSON value
    """Give a document once for each value in it and each odd one that may stand in its place."""
    yield from ODD
    children: Any = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in children:
        for changed in mutations(child):
            copy = value.copy()
            copy[key] = changed
            yield copy
        if isinstance(value, dict):
            yield {name: one for name, one in value.items() if name != key}


@pytest.mark.parametrize(("name", "path"), FILES, ids=[path.parent.name for _, path in FILES])
def test_odd_values_are_skipped_and_raise_nothing(name: str, path: Path) -> None:
    """Every value of a file, one after the other, is replaced by each odd one."""
    importer = detect.IMPORTERS[name]
    assert detect.recognised(trace_file.head(path), path) is importer
    text = path.read_text()
    lined = path.suffix == ".jsonl"
    rows = [json.loads(line) for line in text.splitlines()] if lined else [json.loads(text)]
    take_odd_values(importer, path, rows)


@pytest.mark.parametrize(
    ("importer", "rows"),
    [
        (copilot_cli, [*test_copilot.TOLD, test_copilot.shutdown(10, 3, 500, 30, 7)]),
        (gemini_cli, test_agent_tools.GEMINI_ROWS),
        (opencode, [test_opencode.EXPORTED]),
    ],
    ids=["copilot", "gemini lines", "opencode export"],
)
def test_odd_values_in_made_up_sessions_raise_nothing(importer: Importer, rows: list[Any]) -> None:
    """With tools, sub-agents, sums and rewinds."""
    take_odd_values(importer, Path("made.jsonl"), rows)


def take_odd_values(importer: Importer, path: Path, rows: list[Any]) -> None:
    """Read the rows once for each value in them and each odd one in its place."""
    for place, row in enumerate(rows):
        for changed in mutations(row):
            values = [*rows[:place], changed, *rows[place + 1 :]]
            data = "\n".join(json.dumps(one) for one in values).encode()
            for part in importer.read(Trace(path, "ab" * 32, data)):
                assert not isinstance(part, Skipped) or part.reason
