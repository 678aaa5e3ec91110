"""One number for one thing: every page, command and JSON says the same of the same calls.

For each data set, and an agent, a session and a model of it: the landing page, breaks, ledger,
flame graph and what-if, in pages' JSON twins and in `--json` of the command line.
"""

import contextlib
import io
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from phasewise_analyzer.analyse import Memory, analyse
from phasewise_analyzer.ledger import facts
from phasewise_collector.importing import import_paths
from phasewise_store.facts import LIVE, Agent, Batch, LlmCall, Session, Source, Usage
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.analyzer.facts_for_tests import messages
from tests.web.client import client as pages_of

FILES: Mapping[str, int] = {
    "azure-llm-2023": 1,
    "framework-otel-traces": 20,
    "genai-prices": 1,
    "kv-cache-tester": 4,
    "lmcache-agent-trace": 2,
    "mooncake": 1,
    "openhands-eval": 1,
    "openhands-sdk": 4,
    "pi-mono": 1,
    "provider-cassettes": 12,
    "swe-agent": 6,
    "tau-bench": 1,
    "tau2-bench": 2,
}
"""folders of shared traces, and how many files of each are read"""

Json = Mapping[str, Any]
Scope = Mapping[str, str]
"""by word of an address and of a command: source, agent, session, model"""

MISSED = (facts.RULE, facts.PROVIDER, facts.UNKNOWN)
"""how the ledger's reasons of missed tokens begin"""
SUMS = (
    *("calls", "input_tokens", "cache_read_tokens", "sent_before_tokens", "missed_tokens"),
    *("unreported_tokens", "wasted_tokens"),
)
MONEY = (
    *("prefill_usd", "prefill_low_usd", "prefill_high_usd", "cached_usd", "unreported_usd"),
    *("missed_usd", "wasted_usd", "decode_usd", "other_usd", "total_usd"),
)


@pytest.mark.parametrize("folder", FILES)
def test_shared_traces_have_one_number_for_one_thing(
    shared_traces: Path, tmp_path: Path, folder: str
) -> None:
    """Landing = breaks = ledger = flame = what-if = command line, to the last digit."""
    database = tmp_path / "p.duckdb"
    with Store.open(database) as store:
        import_paths(store, list(islice(_traces(shared_traces / folder), FILES[folder])))
        analyse(store)
        seen = _seen(store)
    _agree(database, seen)


def test_a_live_source_has_one_number_for_one_thing(tmp_path: Path) -> None:
    """The same of calls that came one by one: broken, missed, cached, and without a report."""
    database = tmp_path / "p.duckdb"
    with Store.open(database) as store:
        memory = Memory()
        for call in _live_calls():
            store.write(call)
            analyse(store, memory=memory)
        seen = _seen(store)
    _agree(database, seen)
    (whole, *_) = seen.values()
    totals = whole["landing"]["totals"]
    assert min(totals[name] for name in SUMS if name != "cache_read_tokens") > 0


def _traces(folder: Path) -> Iterable[Path]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return (path for path in files if path.suffix in (".gz", ".json", ".jsonl", ".yaml", ".traj"))


def _live_calls() -> Iterable[Batch]:
    words = "Some words that fill a prompt until caches care about what is in it. " * 300
    agent, session = "live-s/a", "live-s"
    whole = len(words) // 4 + 40
    reports = (None, 0.9, 0.0, None, 0.5, 0.9)
    for step, share in enumerate(reports):
        fronts = ("At noon. ", "At one. ")
        prompt = messages([f"{fronts[step > 3]}{words}", *(f"turn {n}" for n in range(step + 1))])
        read = round(whole * (share or 0.0))
        call = LlmCall(
            f"live-s.{step}",
            session,
            agent,
            step,
            Usage(whole - read, read, output_tokens=20, cache_reported=share is not None),
            provider="openai",
            model="gpt-5.4",
            started_ns=1_790_000_000 * 10**9 + step * 20 * 10**9,
            duration_ns=10**9,
            prompt=prompt,
        )
        yield Batch(
            Source(LIVE, LIVE, "otlp", "otlp"),
            sessions=(Session(session),),
            agents=(Agent(agent, session, "main"),),
            llm_calls=(call,),
        )


def _seen(store: Store) -> dict[str, dict[str, Any]]:
    """Give what the pages' JSON says, by scope."""
    pages = pages_of(store)
    return {json.dumps(scope): _pages(pages, scope) for scope in _scopes(store)}


def _scopes(store: Store) -> Iterable[Scope]:
    """Give each data set, and the agent, session and model of it with the most input."""
    for (source,) in store.frame("SELECT DISTINCT name FROM sources ORDER BY name").iter_rows():
        yield {"source": source}
        for word, column in (
            ("agent", "a.name"),
            ("session", "c.session_id"),
            ("model", "c.model"),
        ):
            found = store.frame(
                f"SELECT {column} FROM llm_calls c JOIN sources s USING (source_id) "
                "LEFT JOIN agents a USING (agent_id) WHERE s.name = $source "
                f"AND {column} IS NOT NULL GROUP BY ALL "
                "ORDER BY sum(c.input_tokens) DESC, 1 LIMIT 1",
                {"source": source},
            )
            if found.height:
                yield {"source": source, word: found.item()}


def _pages(pages: TestClient, scope: Scope) -> dict[str, Any]:
    def page(path: str) -> Json:
        answer = pages.get(path, params=dict(scope))
        assert answer.status_code == 200, (path, scope, answer.text[:200])
        found: Json = answer.json()
        return found

    return {
        "landing": page("/agents.json"),
        "breaks": page("/breaks.json"),
        "ledger": page("/ledger.json"),
        "flame": page("/prefixes/flame.json"),
    }


def _agree(database: Path, seen: Mapping[str, Json]) -> None:
    for written, pages in seen.items():
        scope = json.loads(written)
        totals = pages["landing"]["totals"]
        _states_sum_up(scope, totals)
        _rows_sum_up(scope, totals, pages["landing"]["rows"])
        _rows_sum_up(scope, totals, pages["landing"]["models"])
        _breaks_agree(scope, totals, pages["breaks"])
        _ledger_agrees(
            scope, totals, [one["line"] for one in pages["ledger"]["reasons"]], pages["ledger"]
        )
        _flame_agrees(scope, totals, pages["flame"])
        _commands_agree(database, scope, totals, pages)


def _money(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _sum(rows: Iterable[Json], name: str) -> Decimal | None:
    known = [Decimal(str(row[name])) for row in rows if row[name] is not None]
    return sum(known, Decimal(0)) if known else None


def _states_sum_up(scope: Scope, totals: Json) -> None:
    """Hold the parts of the bill to its sum and its range."""
    if totals["total_usd"] is not None and totals["prefill_usd"] is not None:
        parts = [_money(totals[name]) for name in ("prefill_usd", "decode_usd", "other_usd")]
        assert sum(part or 0 for part in parts) == _money(totals["total_usd"]), scope
        low, bill, high = (
            Decimal(str(totals[f"prefill_{end}usd"])) for end in ("low_", "", "high_")
        )
        assert low <= bill <= high, scope
    tokens = (totals[name] for name in ("cache_read_tokens", "missed_tokens", "unreported_tokens"))
    assert sum(tokens) <= totals["input_tokens"], scope


def _rows_sum_up(scope: Scope, totals: Json, rows: Iterable[Json]) -> None:
    """Hold the sum of a table's rows to the page's."""
    sums = [row.get("totals", row) for row in rows]
    for name in (*SUMS, *MONEY):
        assert (_sum(sums, name) or 0) == (_money(totals[name]) or 0), (scope, name)


def _breaks_agree(scope: Scope, totals: Json, page: Json) -> None:
    assert page["input_tokens"] == totals["input_tokens"], scope
    assert page["wasted_tokens"] == totals["wasted_tokens"], scope
    assert _money(page["wasted_usd"]) == _money(totals["wasted_usd"]), scope
    bill = page["input_usd"] if "input_usd" in page else page["prefill_usd"]
    assert _money(bill) == _money(totals["prefill_usd"]), scope


def _ledger_agrees(scope: Scope, totals: Json, lines: Iterable[Json], page: Json) -> None:
    lines = list(lines)

    def tokens(*beginnings: str) -> int:
        return sum(line["tokens"] for line in lines if line["reason"].startswith(beginnings))

    def money(name: str, *beginnings: str) -> Decimal:
        some = [line for line in lines if line["reason"].startswith(beginnings)]
        return _sum(some, name) or Decimal(0)

    assert page["input_tokens"] == totals["input_tokens"] == tokens(""), scope
    assert tokens(facts.READ) == totals["cache_read_tokens"], scope
    assert tokens(*MISSED) == totals["missed_tokens"], scope
    assert tokens(facts.UNREPORTED) == totals["unreported_tokens"], scope
    assert money("extra_usd", *MISSED) == (_money(totals["missed_usd"]) or 0), scope
    assert money("usd", facts.UNREPORTED) == (_money(totals["unreported_usd"]) or 0), scope
    assert money("usd", facts.READ) == (_money(totals["cached_usd"]) or 0), scope
    assert money("usd", "") == (_money(totals["prefill_usd"]) or 0), scope


def _flame_agrees(scope: Scope, totals: Json, page: Json) -> None:
    width = page["found"]["frames"][0]["below"]
    assert width["cached_tokens"] == totals["cache_read_tokens"], scope
    assert width["missed_tokens"] == totals["missed_tokens"], scope
    assert width["unreported_tokens"] == totals["unreported_tokens"], scope
    assert (_money(width["missed_usd"]) or 0) == (_money(totals["missed_usd"]) or 0), scope


def _commands_agree(database: Path, scope: Scope, totals: Json, pages: Json) -> None:
    words = [word for name, value in scope.items() for word in (f"--{name}", value)]

    def said(command: str, *more: str) -> Any:  # noqa: ANN401 (JSON of any form)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            code = main([command, "--db", str(database), "--json", *words, *more])
        return json.loads(out.getvalue()) if code == 0 else None

    _rows_sum_up(scope, totals, said("agents"))
    _rows_sum_up(scope, totals, said("sessions", "--limit", "100000"))
    if (breaks := said("breaks")) is not None:
        _breaks_agree(scope, totals, breaks)
        assert breaks["findings"] == [
            row["finding"]
            for row in sorted(
                (*pages["breaks"]["wasteful"], *pages["breaks"]["legitimate"]),
                key=lambda row: row["number"],
            )
        ]
    ledger = said("ledger")
    _ledger_agrees(scope, totals, ledger["lines"], ledger)
    asked = said("whatif", "--policy", "anthropic/sonnet-4.5")
    if asked is not None:
        recorded, billed = asked["whatif"]["recorded"], asked["whatif"]["billed"]
        assert recorded == totals, scope
        if billed["calls"] == totals["calls"]:
            assert billed["spent"]["read"] == totals["cache_read_tokens"], scope
            _bill_agrees(scope, totals, billed["money"])


def _bill_agrees(scope: Scope, totals: Json, money: Json | None) -> None:
    if money is None:
        assert totals["prefill_usd"] is None, scope
        return
    read = sum(Decimal(str(money[name])) for name in ("read_usd", "written_usd", "uncached_usd"))
    assert read == _money(totals["prefill_usd"]), scope
    assert _money(money["output_usd"]) == _money(totals["decode_usd"]), scope
