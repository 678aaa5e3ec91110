"""What programs say of themselves: sessions, agents, tools, outcomes, in every kind of function."""

import json
from pathlib import Path

import pytest
from phasewise_store.store import Store

from tests.tracer.test_init import INIT, traced

ASK = """
from openai import OpenAI
client = OpenAI(base_url=BASE, api_key="none")
def ask():
    return client.chat.completions.create(
        model="stand-in", messages=[{"role": "user", "content": "hello"}]
    )
"""

LABELLED = """
with phasewise.session(
    "chat-7",
    user="ana",
    customer="acme",
    tags=["beta", "eu"],
    version="1.4",
    metadata={"plan": "x"},
):
    ask()
    phasewise.outcome("open")
    phasewise.outcome("resolved", revenue=1.5, customer="acme")
ask()
"""

EVERY_KIND = """
import asyncio

@phasewise.agent
def plain(): ask()

@phasewise.agent("named")
def other(): ask()

@phasewise.agent
async def coroutine(): ask()

@phasewise.agent
def generator():
    ask()
    yield 1
    ask()

@phasewise.agent
async def stream():
    ask()
    yield 1

with phasewise.session("all"):
    plain()
    other()
    asyncio.run(coroutine())
    for _ in generator():
        ask()  # between two steps it is not the generator's
    async def read():
        async for _ in stream():
            pass
    asyncio.run(read())
"""

TOOLS = """
import contextlib

class Shop:
    @phasewise.tool
    def price(self, item, *, currency="EUR"):
        return {"item": item, "price": 3}

    @phasewise.tool("lines")
    def listed(self):
        yield "a"
        yield "b"

    @phasewise.tool
    def broken(self, item):
        raise LookupError("no tea")

with phasewise.session("shop"), phasewise.agent("buyer"):
    Shop().price("tea", currency="USD")
    assert list(Shop().listed()) == ["a", "b"]
    with contextlib.suppress(LookupError):
        Shop().broken("tea")
    ask()
"""


def program(text: str) -> str:
    """Give a traced program that can ask a model."""
    return f"{INIT}{ASK}{text}"


def test_a_session_labels_its_calls_and_no_other(tmp_path: Path, store: Store) -> None:
    """User, customer, tags, version and metadata stand on the call inside, not on the next one."""
    calls, _ = traced(tmp_path, program(LABELLED), store=store)
    inside, outside = calls.sort("started_ns").iter_rows(named=True)
    assert (inside["session_id"], inside["user_id"], inside["customer"]) == (
        "chat-7",
        "ana",
        "acme",
    )
    assert (inside["version"], inside["tags"]) == ("1.4", ["beta", "eu"])
    assert json.loads(inside["metadata"]) == {"plan": "x"}
    assert outside["session_id"] != "chat-7"
    assert (outside["user_id"], outside["customer"], outside["tags"]) == (None, None, None)


def test_the_outcome_that_was_said_last_holds(tmp_path: Path, store: Store) -> None:
    """A session that was open and then resolved is resolved, with what that earned."""
    traced(tmp_path, program(LABELLED), store=store)
    (said,) = store.frame("SELECT * EXCLUDE (said_ns) FROM outcomes").iter_rows()
    assert said == ("chat-7", "resolved", 1.5, "acme")


def test_every_kind_of_function_can_be_an_agent(tmp_path: Path, store: Store) -> None:
    """A generator's calls are its agent's; the calls of whoever reads it are not."""
    calls, _ = traced(tmp_path, program(EVERY_KIND), store=store)
    names = calls.sort("started_ns")["agent"].to_list()
    program_name = names[4]
    assert names == [
        "plain",
        "named",
        "coroutine",
        "generator",
        program_name,
        "generator",
        "stream",
    ]
    assert program_name not in {"generator", "plain"}
    assert set(calls["session_id"]) == {"all"}


@pytest.mark.parametrize(("capture", "kept"), [("content", True), ("hash", False), ("none", False)])
def test_a_tool_keeps_what_it_was_called_with(
    tmp_path: Path, store: Store, capture: str, *, kept: bool
) -> None:
    """Arguments, result and error of a tool are its span's, where content may leave the program."""
    traced(tmp_path, program(TOOLS), store=store, PHASEWISE_CAPTURE=capture)
    tools = store.frame(
        "SELECT t.*, a.name AS agent FROM tool_calls t JOIN agents a USING (agent_id) "
        "ORDER BY started_ns"
    )
    assert tools["name"].to_list() == ["price", "lines", "broken"]
    assert tools["agent"].to_list() == ["buyer"] * 3
    assert [error is not None for error in tools["error"]] == [False, False, True]
    assert ("no tea" in str(tools["error"][2])) is kept
    if kept:
        assert [json.loads(given) for given in tools["arguments"]] == [
            {"item": "tea", "currency": "USD"},
            {},
            {"item": "tea"},
        ]
        assert tools["result"].to_list() == ['{"item": "tea", "price": 3}', "a\nb", None]
    else:
        assert tools["arguments"].to_list() == [None] * 3
        assert tools["result"].to_list() == [None] * 3
