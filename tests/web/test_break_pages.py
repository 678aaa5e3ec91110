"""Breaks, ledger and structure: what their pages say, where they lead, and that they ask once."""

import json
import re
from dataclasses import replace
from html import unescape
from typing import get_args

import pytest
from fastapi.testclient import TestClient
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.caches.prompt_cache import Reason
from phasewise_analyzer.diagnosis.causes import CATALOGUE
from phasewise_analyzer.ledger import facts
from phasewise_analyzer.structure.facts import ORDER
from phasewise_analyzer.structure.lay_out import lay_out
from phasewise_reports.ledger_words import words
from phasewise_reports.structure_chart import GAP_PX, LINE_PX, structure_chart
from phasewise_store.facts import Segment, Usage
from phasewise_store.scope import Scope
from phasewise_store.segments import text_segment
from phasewise_store.store import Store
from phasewise_web.pages.address import sources

from tests.analyzer.facts_for_tests import blocks, write_calls
from tests.store.facts_for_tests import growing_session
from tests.web.client import client as pages_of
from tests.web.conftest import HOSTILE

PATHS = ("/breaks", "/ledger", "/structure")
MINUTE_NS = 60 * 10**9
START_NS = 1_772_000_000 * 10**9
MODEL = "gpt-4o-2024-08-06"

RULES = " ".join(f"Rule {n}: check the order twice and say what was done." for n in range(120))


def system(text: str) -> Segment:
    """Make a system message."""
    return text_segment("system", json.dumps({"role": "system", "content": text}), "system")


def user(text: str) -> Segment:
    """Make a user message."""
    return text_segment("message", json.dumps({"role": "user", "content": text}), "user")


def write_clocks(store: Store, agent: str = "shop", lead: str = "You help in a shop.") -> None:
    """Write two sessions of an agent that has a clock in the middle of its system prompt."""
    for number in range(2):
        prompts = []
        for step in range(5):
            clock = f"2026-03-0{number + 1} 10:{11 + step}:07"
            talk = [user(f"{lead} Question {number} {n}") for n in range(step + 1)]
            prompts.append((system(f"{lead} {RULES} Now: {clock}. {RULES}"), *talk))
        write_calls(
            store,
            prompts,
            session=f"{agent}{number}",
            agents=[agent] * 5,
            starts_ns=[START_NS + (number * 2000 + n) * MINUTE_NS for n in range(5)],
            provider="openai",
            model=MODEL,
        )
    analyse(store)


def write_conversation(store: Store, read: float, *, until: int, calls: int = 40) -> None:
    """Write one that grows; up to some call the cache serves what was sent, then a share of it."""
    said = [user(f"{RULES} {n}") for n in range(calls)]
    prompts = [tuple(said[: n + 1]) for n in range(calls)]
    usages, before = [], 0
    for number, prompt in enumerate(prompts):
        whole = sum(part.tokens for part in prompt)
        served = int(before * (1.0 if number < until else read)) // 128 * 128
        usages.append(Usage(whole - served, cache_read_tokens=served, output_tokens=5))
        before = whole
    starts = [START_NS + n * MINUTE_NS for n in range(calls)]
    write_calls(store, prompts, usages=usages, starts_ns=starts, provider="openai", model=MODEL)
    analyse(store)


def links(page: str, word: str) -> list[str]:
    """Give the addresses in a page that contain a word."""
    found = [unescape(link) for link in re.findall(r'href="([^"]+)"', page)]
    return [link for link in found if word in link]


@pytest.fixture
def clocks(store: Store) -> TestClient:
    """Give a client over a store in which a clock breaks every prompt."""
    write_clocks(store)
    return pages_of(store)


def test_every_page_and_twin_is_there_for_every_data_set(client: TestClient, seen: Store) -> None:
    """200 in HTML and JSON, the named data set, and sums that are the roll-up's."""
    for source in sources(seen):
        calls = client.get(f"/agents.json?source={source}").json()["totals"]
        for path in PATHS:
            assert client.get(path, params={"source": source}).status_code == 200
            twin = client.get(f"{path}.json", params={"source": source}).json()
            assert twin["source"] == source
            if path == "/ledger":
                assert twin["calls"] == calls["calls"]
                assert twin["input_tokens"] == calls["input_tokens"]


def test_a_finding_leads_to_the_breaks_it_counts(client: TestClient, seen: Store) -> None:
    """For all sample data: behind each finding's number of calls stand as many, its tokens lost."""
    opened = 0
    for source in sources(seen):
        query: dict[str, str | int] = {"source": source}
        twin = client.get("/breaks.json", params=query).json()
        for row in (*twin["wasteful"], *twin["legitimate"]):
            asked = {**query, "finding": row["number"]}
            shown = client.get("/breaks.json", params=asked).json()["shown"]
            assert shown["there"] == row["finding"]["calls"]
            assert shown["finding"]["cause"] == row["finding"]["cause"]
            if shown["later"] is None:
                lost = sum(one["lost_tokens"] for one in shown["rows"])
                assert lost == row["finding"]["lost_tokens"]
            opened += 1
    assert opened > 3


def test_breaks_are_said_with_cause_text_and_repair(clocks: TestClient) -> None:
    """A clock in the system prompt: before and after, the repair, and a link to a call."""
    page = clocks.get("/breaks").text
    assert "<b>clock</b>" in page
    assert re.search(r"<del>[^<]*10:\d\d[^<]*</del> → <ins>[^<]*10:\d\d", page)
    assert "move it into the last user message" in page
    example = links(page, "/calls/")[0]
    assert clocks.get(example).status_code == 200
    opened = clocks.get(links(page, "finding=1")[0].partition("#")[0]).text
    assert "could share, tokens" in opened
    assert all(clocks.get(link).status_code == 200 for link in links(opened, "/calls/"))


def test_wasteful_findings_and_legitimate_ones_stand_apart(client: TestClient, seen: Store) -> None:
    """Each table holds its own kind, dearest first; only the wasteful count as wasted."""
    for source in sources(seen):
        twin = client.get("/breaks.json", params={"source": source}).json()
        for name, kind in (("wasteful", True), ("legitimate", False)):
            found = [row["finding"] for row in twin[name]]
            assert all(one["cause"]["wasteful"] is kind for one in found)
            keys = [(one["lost_usd"] or 0, one["lost_tokens"]) for one in found]
            assert keys == sorted(keys, reverse=True)
        lost = sum(row["finding"]["lost_tokens"] for row in twin["wasteful"])
        assert lost == twin["wasted_tokens"]


def test_a_filter_chooses_breaks_of_several_findings(client: TestClient, seen: Store) -> None:
    """By cause and by tier: as many as the findings of that kind count together."""
    for source in sources(seen):
        twin = client.get("/breaks.json", params={"source": source}).json()
        found = [row["finding"] for row in (*twin["wasteful"], *twin["legitimate"])]
        for cause in {one["cause"]["name"] for one in found}:
            query = {"source": source, "cause": cause}
            there = client.get("/breaks.json", params=query).json()["shown"]["there"]
            assert there == sum(one["calls"] for one in found if one["cause"]["name"] == cause)
        for tier in {one["tier"] for one in found}:
            query = {"source": source, "tier": tier}
            there = client.get("/breaks.json", params=query).json()["shown"]["there"]
            assert there == sum(one["calls"] for one in found if one["tier"] == tier)


@pytest.mark.parametrize("query", ["finding=99", "finding=0", "cause=lifetime"])
def test_an_address_that_chooses_nothing_says_so(clocks: TestClient, query: str) -> None:
    """A finding that is not there, a cause that nothing has: a page that says so."""
    assert "No breaks match this URL" in clocks.get(f"/breaks?{query}").text
    assert clocks.get(f"/breaks.json?{query}").json()["shown"]["rows"] == []


def test_breaks_come_a_page_at_a_time(store: Store) -> None:
    """The pages of a finding hold each of its breaks once."""
    letters = [user(f"{RULES} {n}") for n in range(70)]
    write_calls(
        store, [(system(f"Now: 10:{n:02}:00. {RULES}"), one) for n, one in enumerate(letters)]
    )
    analyse(store)
    client = pages_of(store)
    seen, address = [], "/breaks.json?finding=1"
    while address:
        shown = client.get(address).json()["shown"]
        seen += [one["call_id"] for one in shown["rows"]]
        later = shown["later"]
        address = "" if later is None else f"/breaks.json?finding=1&offset={later}"
    assert len(seen) == len(set(seen)) == shown["there"] > 50


def test_the_bill_is_the_sum_of_its_reasons(client: TestClient, seen: Store) -> None:
    """Tokens and dollars of the lines are the whole's, and the bar's stretches are all of it."""
    for source in sources(seen):
        twin = client.get("/ledger.json", params={"source": source}).json()
        lines = [one["line"] for one in twin["reasons"]]
        assert sum(one["tokens"] for one in lines) == twin["input_tokens"]
        if twin["input_usd"] is not None:
            assert sum(one["usd"] or 0 for one in lines) == pytest.approx(twin["input_usd"])
        if lines:
            shares = [one["stretch"]["share"] for one in twin["reasons"]]
            assert sum(shares) == pytest.approx(1)


def test_a_reason_leads_to_the_calls_it_counts(client: TestClient, seen: Store) -> None:
    """Behind each line's number of calls stand as many, with that reason's tokens."""
    for source in sources(seen):
        page = client.get("/ledger", params={"source": source}).text
        twin = client.get("/ledger.json", params={"source": source}).json()
        for one in twin["reasons"]:
            query = {"source": source, "reason": one["line"]["reason"]}
            shown = client.get("/ledger.json", params=query).json()["shown"]
            assert shown["there"] == one["line"]["calls"]
            assert all(row["tokens"] > 0 for row in shown["rows"])
            if shown["later"] is None:
                assert sum(row["tokens"] for row in shown["rows"]) == one["line"]["tokens"]
        assert len(set(links(page, "reason="))) == len(twin["reasons"])


def test_the_worst_predicted_calls_come_first(store: Store) -> None:
    """Without a reason: all calls that the rule did not predict, the largest difference first."""
    write_conversation(store, 0.0, until=36)
    client = pages_of(store)
    twin = client.get("/ledger.json").json()
    assert twin["judged_calls"] == 40
    assert twin["shown"]["there"] == twin["judged_calls"] - twin["exact_calls"] > 0
    sizes = [abs(row["difference"]) for row in twin["shown"]["rows"]]
    assert sizes == sorted(sizes, reverse=True)
    assert "Largest differences between prediction and report" in client.get("/ledger").text
    for link in links(client.get("/ledger").text, "/calls/")[:4]:
        assert client.get(link).status_code == 200


def test_a_drift_is_said_with_its_date_and_call(store: Store) -> None:
    """A provider that reads a third from some call on: before, after, and a link to that call."""
    write_conversation(store, 0.33, until=20)
    client = pages_of(store)
    (found,) = client.get("/ledger.json").json()["drifts"]
    assert found["after"] < 0.4
    assert found["before"] > 0.9
    page = client.get("/ledger").text
    said = re.search(r'Since <a href="(/calls/[^"]+)">2026-\d\d-\d\d [\d:]+</a>, openai', page)
    assert said is not None
    assert client.get(said[1]).status_code == 200
    assert f"{100 * found['after']:.1f} % of the cached tokens that its rule predicts" in page


def test_every_reason_has_words() -> None:
    """All of the ledger's reasons, rules' reasons and causes; and one nobody has heard of."""
    plain = (facts.READ, facts.FIRST, facts.APPENDED, facts.PROVIDER)
    rules = tuple(facts.RULE + reason for reason in get_args(Reason))
    broken = tuple(facts.BREAK + cause.name for cause in CATALOGUE)
    unknown = (facts.UNKNOWN, facts.UNREPORTED)
    tones = {reason: words(reason).tone for reason in (*plain, *rules, *broken, *unknown)}
    assert [tones[reason] for reason in plain] == ["c", "new", "new", "p"]
    assert {tones[reason] for reason in (*rules, *broken)} == {"p"}
    assert [tones[reason] for reason in unknown] == ["p", "u"]
    assert len({words(reason).what for reason in tones}) == len(tones)
    assert words(facts.RULE + "rain").title == "rule: rain"


def test_a_clock_in_the_middle_moves_to_the_end(store: Store) -> None:
    """It stands between two static blocks as sent, and behind the history as it should."""
    write_clocks(store)
    structure = lay_out(store, Scope(agent="shop"))
    chart = structure_chart(structure, history=True)
    assert chart is not None
    assert [one.stability for one in chart.here[:3]] == ["static", "call", "static"]
    assert chart.there[-1].label == "system 0, what differs"
    assert chart.there[-1].moves
    assert chart.here[2].resent > 0.5


@pytest.mark.parametrize("history", [True, False])
def test_both_stacks_hold_the_same_layers_without_a_gap(store: Store, history: bool) -> None:
    """Each layer stands once on either side, follows the one above, and has room for its name."""
    write_clocks(store)
    chart = structure_chart(lay_out(store, Scope(agent="shop")), history=history)
    assert chart is not None
    assert sorted(one.label for one in chart.here) == sorted(one.label for one in chart.there)
    assert ("history" in {one.label for one in chart.here}) is history
    ranks = [ORDER.index(one.stability) for one in chart.there]
    assert ranks == sorted(ranks)
    for stack in (chart.here, chart.there):
        end = -GAP_PX
        for one in stack:
            assert one.top == end + GAP_PX
            assert one.height >= LINE_PX
            end = one.top + one.height
        assert end == chart.height
    assert len(chart.ribbons) == len(chart.here)
    assert [one.moves for one in chart.ribbons] == sorted(one.moves for one in chart.ribbons)


def test_tools_that_are_alike_are_one_layer(store: Store) -> None:
    """Thirty static tools are drawn once, with the names in the title, and listed one by one."""
    tools = [
        text_segment("tool", f'{{"name":"tool_{n:02}","about":"{RULES[:99]}"}}') for n in range(30)
    ]
    write_calls(store, [(*tools, system(RULES), user(f"Hello {n}")) for n in range(3)])
    analyse(store)
    structure = lay_out(store, Scope())
    chart = structure_chart(structure, history=False)
    assert chart is not None
    assert chart.here[0].label == "30 tools"
    assert "tool_29" in chart.here[0].title
    page = pages_of(store).get("/structure").text
    assert page.count("tool tool_") >= 30


def test_the_structure_page_says_what_to_move(clocks: TestClient) -> None:
    """The clock is named with its value and the place it belongs to; the order has a price."""
    page = clocks.get("/structure").text
    assert re.search(r"<b>system 0, what differs</b> <code>[^<]*10:\d\d:07", page)
    assert "changes from call to call" in page
    assert "move it after the history, into the last message" in page
    twin = clocks.get("/structure.json").json()
    assert twin["structure"]["usd_there"] < twin["structure"]["usd_here"]
    assert twin["usd_a_month"] > 0


def test_agents_are_chosen_by_the_address(store: Store) -> None:
    """Each agent of the data set is linked, and its page is about it."""
    write_clocks(store, "one")
    write_clocks(store, "two")
    client = pages_of(store)
    for name in ("one", "two"):
        (link,) = set(links(client.get("/structure").text, f"/structure?source=made&agent={name}"))
        twin = client.get(link.replace("?", ".json?")).json()
        assert twin["structure"]["agent"] == name


def test_states_without_blocks_say_what_to_do(store: Store) -> None:
    """Hashes only: capture content; an agent without calls: list them."""
    write_calls(store, [blocks(range(10 + n)) for n in range(4)], block_tokens=16)
    store.write(replace(growing_session(1, "idle"), llm_calls=()))
    analyse(store)
    client = pages_of(store)
    hidden = client.get("/structure").text
    assert "known only by hashes" in hidden
    assert "PHASEWISE_CAPTURE=content" in hidden
    assert "<code>phasewise agents</code>" in client.get("/structure?source=made&agent=main").text


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_store_says_the_command(store: Store, path: str) -> None:
    """Without calls each page has the one command, and its twin no data set."""
    client = pages_of(store)
    answer = client.get(path)
    assert answer.status_code == 200
    assert "<code>phasewise import PATH</code>" in answer.text
    assert client.get(f"{path}.json").json()["source"] is None


def test_a_scope_without_calls_is_a_page(client: TestClient) -> None:
    """A data set in which the agent or the model asked for made no call: 200, and no number."""
    agent = client.get("/agents.json?source=tau2-bench").json()["rows"][0]["agent"]
    for path in PATHS:
        answer = client.get(path, params={"source": "kv-cache-tester", "agent": agent})
        assert answer.status_code == 200, path


def test_hostile_text_stays_text(store: Store) -> None:
    """An agent and prompts that want to be markup, in findings, bars, stacks and lists."""
    write_clocks(store, HOSTILE, HOSTILE)
    client = pages_of(store)
    for path in (
        "/breaks",
        "/breaks?finding=1",
        "/ledger",
        "/ledger?reason=appended",
        "/structure",
    ):
        page = client.get(path)
        assert page.status_code == 200
        assert "<script" not in page.text, path
    assert "&lt;script&gt;" in client.get("/breaks").text
    assert "&lt;script&gt;" in client.get("/structure").text
    for path in PATHS:
        words = ("source", "agent", "session", "finding", "reason", "cause", "tier", "offset")
        answer = client.get(path, params=dict.fromkeys(words, HOSTILE))
        assert answer.status_code == 400
        assert "<script" not in answer.text


def test_the_pages_lead_to_each_other(client: TestClient) -> None:
    """Prefixes leads to all three, each to the others, about the same data set; one section."""
    for path in ("/prefixes", *PATHS):
        page = client.get(path, params={"source": "tau2-bench"}).text
        for other in PATHS:
            assert f'href="{other}?source=tau2-bench"' in page, (path, other)
        if path in PATHS:
            assert 'href="/breaks?source=tau2-bench" aria-current="page">Breaks</a>' in page
