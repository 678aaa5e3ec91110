"""`phasewise speculation`: acceptance per agent, and what is said where there is no text."""

import json
from pathlib import Path

import pytest
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.replay.recorded import write_hashed_sessions, write_repeating_sessions

LOOKUP = (
    '{"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_min": 2,'
    ' "prompt_lookup_max": 4}'
)


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Give sessions whose second answer repeats its prompt."""
    path = tmp_path / "captured.duckdb"
    with Store.own(path) as store:
        write_repeating_sessions(store, 2)
    return str(path)


def test_a_row_has_the_acceptance_of_an_agent_and_a_method(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON names the tokens, vLLM's own counters, and the decode time on an engine."""
    words = ["--db", database, "--speculative-config", LOOKUP, "--json"]
    assert main(["speculation", *words, "--shape", "llama-3.1-8b", "--gpu", "h100-sxm"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["tokens"] == "estimated tokens (pieces of text)"
    assert answer["step_times"]["kind"] == "roofline"
    (row,) = answer["rows"]
    assert (row["group"], row["method"], row["calls"]) == ("a", "ngram 2-4, 4 tokens", 4)
    assert row["accepted"] == 32
    assert row["acceptance_rate"] == row["accepted"] / row["drafted"]
    assert row["tokens_per_step"] == 1 + row["accepted"] / row["steps"]
    assert [one["at_once"] for one in row["decode"]] == [1, 8, 32, 128]
    assert row["decode"][0]["change"] < -0.3
    assert main(["speculation", *words, "--by", "call"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [one["group"] for one in rows] == ["s0.0", "s0.1", "s1.0", "s1.1"]
    assert "decode" not in rows[0]


def test_the_table_compares_methods_and_says_what_it_stands_on(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a config, vLLM's defaults of both methods and shorter n-grams."""
    words = ["--db", database, "--shape", "llama-3.1-8b", "--gpu", "h100-sxm", "--limit", "3"]
    assert main(["speculation", *words]) == 0
    printed = capsys.readouterr()
    for name in ("ngram 5-5, 4 tokens", "ngram 2-5, 4 tokens", "suffix, depth 24, 24 tokens"):
        assert name in printed.out
    assert "decode time at 32" in printed.out
    assert "acceptance: computed on estimated tokens" in printed.err
    assert "only the first 3 calls" in printed.err
    assert "decode time: simulated, 1 h100-sxm, llama-3.1-8b; roofline" in printed.err


def test_a_search_prints_the_best_settings_of_each_row(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best has a decode time no higher than the given setting's, which is listed once."""
    words = ["--db", database, "--speculative-config", LOOKUP, "--search", "--json"]
    assert main(["speculation", *words, "--shape", "llama-3.1-8b", "--gpu", "h100-sxm"]) == 0
    answer = json.loads(capsys.readouterr().out)
    (row,), (best,) = answer["rows"], answer["best"]
    assert row["method"] == "ngram 2-4, 4 tokens"
    assert best["decode"][1]["change"] <= row["decode"][1]["change"]
    assert main(["speculation", *words]) == 2
    assert "a search needs --shape and --gpu" in capsys.readouterr().err


def test_wrong_input_says_what_is_missing(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No text, half an engine, and a method with a model of its own."""
    assert main(["speculation", "--db", database, "--gpu", "h100-sxm"]) == 2
    assert "both --shape and --gpu" in capsys.readouterr().err
    medusa = ["--speculative-config", '{"method": "medusa"}']
    assert main(["speculation", "--db", database, *medusa]) == 2
    assert "`medusa` is not modelled" in capsys.readouterr().err
    hashed = tmp_path / "hashed.duckdb"
    with Store.own(hashed) as store:
        write_hashed_sessions(store, 1)
    assert main(["speculation", "--db", str(hashed)]) == 2
    assert "no calls with the text of prompt and output" in capsys.readouterr().err
