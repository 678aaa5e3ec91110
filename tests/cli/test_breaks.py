"""`breaks`, `ledger` and `check` as a person or a pipeline runs them."""

import json
from pathlib import Path

import pytest
from phasewise_collector.importing import import_paths
from phasewise_store.store import Store
from phasewise_web.cli.main import main

LONG = "Be kind, be brief, and never promise what you cannot keep. " * 100


@pytest.fixture
def database(tmp_path: Path, shared_traces: Path) -> str:
    """Give a database with pi's session."""
    path = tmp_path / "p.duckdb"
    with Store.open(path) as store:
        import_paths(store, [shared_traces / "pi-mono"])
    return str(path)


def trace(path: Path, clock: bool) -> Path:
    """Write a trace of OpenTelemetry spans whose system prompt has a clock, or not."""
    spans = []
    for step in range(6):
        said = f"It is 2026-10-0{step + 1} 09:15. {LONG}" if clock else LONG
        turns = [{"role": "user", "content": f"question {n}"} for n in range(step + 1)]
        request = {"messages": [{"role": "system", "content": said}, *turns]}
        attributes = {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o",
            "llm.provider": "openai",
            "session.id": "s",
            "input.value": json.dumps(request),
            "llm.token_count.prompt": 1300 + 10 * step,
            "llm.token_count.completion": 5,
        }
        spans.append(
            {
                "traceId": f"{step + 1:032x}",
                "spanId": f"{step + 1:016x}",
                "name": "chat",
                "startTimeUnixNano": str((1_760_000_000 + 10 * step) * 10**9),
                "endTimeUnixNano": str((1_760_000_002 + 10 * step) * 10**9),
                "attributes": [
                    {
                        "key": key,
                        "value": {"intValue": str(value)}
                        if isinstance(value, int)
                        else {"stringValue": value},
                    }
                    for key, value in attributes.items()
                ],
            }
        )
    document = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "made"}, "spans": spans}]}]}
    path.write_text(json.dumps(document))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command; give its exit code and what it said."""
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


def test_breaks_prints_findings_and_the_repair(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has the price, and the cause is explained once, on stderr."""
    code, out, err = run(capsys, "breaks", "--db", database)
    assert code == 0
    assert "14.21 $" in out
    assert "after a user message" in out
    assert err.count("lifetime: the prefix was the same") == 1
    code, out, _ = run(capsys, "breaks", "--calls", "--json", "--db", database)
    found = json.loads(out)
    assert len(found["breaks"]) == 37
    assert sum(one["calls"] for one in found["findings"]) == 37


def test_the_ledger_sums_to_the_bill(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In the JSON as in the table, also by agent."""
    code, out, _ = run(capsys, "ledger", "--by", "agent", "--json", "--db", database)
    assert code == 0
    found = json.loads(out)
    assert sum(line["tokens"] for line in found["lines"]) == found["input_tokens"]
    assert sum(line["usd"] for line in found["lines"]) == pytest.approx(found["prefill_usd"])
    assert [one["lines"] for one in found["accounts"]] == [found["lines"]]
    code, out, _ = run(capsys, "ledger", "--calls", "--db", database)
    assert code == 0
    assert "provider-side" in out


@pytest.mark.parametrize(("clock", "code"), [(True, 1), (False, 0)])
def test_check_fails_a_pipeline_that_wastes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], clock: bool, code: int
) -> None:
    """A clock in the system prompt is more than five per cent; without it nothing is wasted."""
    path = trace(tmp_path / "spans.json", clock)
    found, out, _ = run(capsys, "check", str(path), "--max-waste", "5%")
    assert found == code
    assert ("FAILED" in out) == clock
    assert ("clock" in out) == clock
    found, out, _ = run(capsys, "check", str(path), "--json")
    assert found == code
    assert json.loads(out)["passed"] == (not clock)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "{empty}"], "no LLM calls in these files"),
        (["breaks", "--db", "{nothing}"], "phasewise import --db"),
        (
            ["ledger", "--db", "{nothing}", "--policies", "{empty}"],
            "no .yaml files with records in",
        ),
    ],
)
def test_what_cannot_be_answered_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """Misuse exits with 2 and a sentence."""
    empty = tmp_path / "empty"
    empty.mkdir()
    names = {"empty": str(empty), "nothing": str(tmp_path / "n.duckdb")}
    code, _, err = run(capsys, *(word.format(**names) for word in words))
    assert code == 2
    assert said in err


@pytest.mark.parametrize("word", ["5", "-1%", "half"])
def test_a_share_is_a_share(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What lies outside of 0 to 1 is refused with an example."""
    with pytest.raises(SystemExit) as ended:
        main(["check", f"--max-waste={word}"])
    assert ended.value.code == 2
    assert "such as 5%" in capsys.readouterr().err
