"""`phasewise whatif` over a made agent with a clock in its system prompt, and over real traces."""

import json
import shutil
from pathlib import Path

import pytest
from phasewise_analyzer.analyse import analyse
from phasewise_collector import samples
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.analyzer.whatif.conversations import turns, with_clock, written


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a database with two sessions of an agent that says the time in its system prompt."""
    path = tmp_path_factory.mktemp("db") / "made.duckdb"
    with Store.open(path) as store:
        written(store, turns(8, with_clock), gap_s=200)
        written(store, turns(6, with_clock), session="t", gap_s=400)
        analyse(store)
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a database with two of the sample data sets."""
    path = tmp_path_factory.mktemp("db") / "real.duckdb"
    with samples.folder() as folder:
        wanted = [str(folder / name) for name in ("tau2-bench", "lmcache-agent-trace")]
        assert main(["import", *wanted, "--db", str(path)]) == 0
    return path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must succeed and give what it printed on stdout."""
    capsys.readouterr()
    assert main(list(words)) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that the user got wrong and give what it said."""
    capsys.readouterr()
    assert main(list(words)) == 2
    return capsys.readouterr().err


def test_without_options_it_tries_lifetimes_engines_and_repairs(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usual table has the bill, the own rules, an hour, a vLLM, and the repair of the clock."""
    out = said(capsys, "whatif", "--db", str(made))
    for word in ("as billed", "own rules", "lifetime 1h", "vLLM, no limit", "clock", "all repairs"):
        assert word in out


def test_json_holds_what_was_simulated(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The repair of the clock reads more and saves money; tokens are the same in all scenarios."""
    found = json.loads(said(capsys, "whatif", "--json", "--db", str(made)))["whatif"]
    base = found["baseline"]["spent"]
    whole = base["read"] + base["uncached"] + sum(base["written"].values())
    for one in found["others"]:
        spent = one["spent"]
        assert spent["read"] + spent["uncached"] + sum(spent["written"].values()) == whole
    (row,) = found["repairs"]["repaired"]
    assert row["cause"]["name"] == "clock"
    assert row["alone"]["spent"]["read"] > base["read"]
    paid, before = (
        sum(float(one["money"][part]) for part in ("read_usd", "written_usd", "uncached_usd"))
        for one in (row["alone"], found["baseline"])
    )
    assert paid < before


def test_what_is_asked_for_is_what_is_tried(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Policy, seller, lifetime and engine each make their row, and nothing else does."""
    words = ("--as", "deepseek/deepseek-chat", "--vllm-gb", "1,2", "--kv-model", "qwen3-8b")
    found = json.loads(said(capsys, "whatif", "--json", "--db", str(made), *words))["whatif"]
    names = [one["name"] for one in found["others"]]
    assert names == [
        "as deepseek/deepseek-chat",
        "vLLM, 1 GB of qwen3-8b",
        "vLLM, 2 GB of qwen3-8b",
    ]
    assert found["others"][1]["capacity_tokens"] == 10**9 // (2 * 36 * 8 * 128 * 2)
    assert found["repairs"] is None
    lives = ("--policy", "openai/gpt-5", "--ttl", "24h")
    found = json.loads(said(capsys, "whatif", "--json", "--db", str(made), *lives))["whatif"]
    names = [one["name"] for one in found["others"]]
    assert names == ["policy openai/gpt-5", "policy openai/gpt-5, lifetime 24h"]


def test_breakpoints_are_planned(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan names the naive and the best placement of the agent."""
    out = said(capsys, "whatif", "--db", str(made), "--plan-breakpoints")
    assert "breakpoints of a under anthropic/sonnet-4.5" in " ".join(out.split())
    assert "naive" in out


def test_an_exported_repair_is_replayed_and_found_as_predicted(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The simulator serves from its cache, to the token, what was predicted before and after."""
    database = tmp_path / "copy.duckdb"
    shutil.copy(made, database)
    words = ("--source", "made", "--repair", "clock", "--export", str(tmp_path / "plans"))
    exported = json.loads(said(capsys, "whatif", "--json", "--db", str(database), *words))["export"]
    assert exported["source"] == "made+repaired"
    assert exported["changed_calls"] == 14
    found = []
    for name in ("before", "after"):
        said(capsys, "replay", exported[name]["path"], "--json", "--db", str(database))
        with Store.open(database) as store:
            measured = store.frame(
                "SELECT sum(cached_tokens)::BIGINT AS cached, sum(input_tokens)::BIGINT AS input "
                "FROM measured_calls WHERE arm = $arm AND block = 0",
                {"arm": name},
            ).row(0)
        proof = exported[name]["proof"]
        assert measured == (proof["cached_tokens"], proof["prompt_tokens"])
        found.append(proof["cached_tokens"])
    assert found[1] > 1.5 * found[0]
    again = json.loads(said(capsys, "whatif", "--json", "--db", str(database), *words))["export"]
    assert again["source"] == "made+repaired"


def test_real_traces_are_answered_too(real: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody knows a provider's rules, an engine of one's own is what is compared with."""
    source = ("--source", "lmcache-agent-trace")
    found = json.loads(said(capsys, "whatif", "--json", "--db", str(real), *source))["whatif"]
    assert found["baseline"]["name"] == "vLLM, no limit"
    assert found["baseline"]["money"] is None
    source = ("--source", "tau2-bench")
    found = json.loads(said(capsys, "whatif", "--json", "--db", str(real), *source))["whatif"]
    assert found["baseline"]["name"] == "own rules"
    assert float(found["billed"]["money"]["output_usd"]) > 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--policy", "nobody/nothing"), "nobody/nothing"),
        (("--ttl", "2h"), "2h"),
        (("--repair", "weather"), "weather"),
        (("--as", "nobody/unheard-of"), "nobody/unheard-of"),
        (("--kv-model", "huge"), "huge"),
        (("--export", "x"), "--source"),
        (("--agent", "nobody"), "no calls"),
    ],
)
def test_mistakes_are_named(
    made: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], named: str
) -> None:
    """A wrong word comes back in one sentence, and the exit code is 2."""
    assert named in refused(capsys, "whatif", "--db", str(made), *words)


def test_a_trace_with_nothing_to_repair_exports_nothing(
    real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No finding has a repair: the command says so and writes no file."""
    folder = tmp_path / "plans"
    words = ("--source", "tau2-bench", "--export", str(folder))
    assert "no prompts to repair" in refused(capsys, "whatif", "--db", str(real), *words)
    assert not folder.exists()
