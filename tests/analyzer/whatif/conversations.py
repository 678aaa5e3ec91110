"""Sessions of an agent that grows its prompt, with something put into its system prompt."""

from collections.abc import Callable, Sequence

import orjson
from phasewise_analyzer.breaks.facts import Finding
from phasewise_analyzer.breaks.find import find
from phasewise_analyzer.caches import book
from phasewise_store.facts import Segment
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import write_calls

SECOND_NS = 10**9
START_NS = 1_790_000_000 * SECOND_NS
"""a day in September 2026"""
RULES = " ".join(f"Rule {number}: answer politely and cite the handbook." for number in range(200))
MODEL = {"provider": "anthropic", "model": "claude-sonnet-4-5"}


def message(role: str, text: str) -> Segment:
    """Make a message as a chat API has it."""
    kind = "system" if role == "system" else "message"
    body = orjson.dumps({"role": role, "content": text}).decode()
    return text_segment("system" if kind == "system" else "message", body, role)


def tool(name: str, text: str = "does a thing") -> Segment:
    """Make a tool's definition."""
    return text_segment("tool", orjson.dumps({"name": name, "description": text * 20}).decode())


def turns(
    calls: int,
    system: Callable[[int], str],
    tools: Callable[[int], Sequence[Segment]] | None = None,
) -> list[tuple[Segment, ...]]:
    """Give the prompts of a conversation; `system` and `tools` are asked at each call."""
    history: list[Segment] = []
    prompts = []
    for step in range(calls):
        history.append(message("user", f"Question {step}: " + "what about this? " * 20))
        front = () if tools is None else tuple(tools(step))
        prompts.append((*front, message("system", system(step)), *history))
        history.append(message("assistant", f"Answer {step}: " + "that is so. " * 20))
    return prompts


def with_clock(step: int) -> str:
    """Give a system prompt that says the time in front."""
    return f"You help customers.\nCurrent time: 2026-09-2{step} 10:1{step}:0{step}\n{RULES}"


def without_clock(step: int) -> str:
    """Give the same without."""
    assert step >= 0
    return f"You help customers.\n{RULES}"


def written(
    store: Store,
    prompts: Sequence[tuple[Segment, ...]],
    *,
    session: str = "s",
    gap_s: int = 60,
    **fields: object,
) -> None:
    """Write a conversation whose calls start so many seconds apart."""
    write_calls(
        store,
        prompts,
        session=session,
        starts_ns=[START_NS + step * gap_s * SECOND_NS for step in range(len(prompts))],
        **{**MODEL, **fields},  # type: ignore[arg-type]  # fields of LlmCall, chosen by the test
    )


def found(store: Store) -> tuple[Finding, ...]:
    """Give the findings of all calls."""
    return find(store, book.read()).findings
