"""Cache breakpoints are no part of a prompt, and are kept beside it."""

import json

import pytest
from phasewise_collector.dialects import cache_markers
from phasewise_collector.dialects.cache_diagnostics import diagnosis
from phasewise_collector.dialects.content import content_of

MARK = {"type": "ephemeral"}


def anthropic(marked: int | None, ttl: str | None = None) -> dict[str, object]:
    """Make a request of six blocks in which one carries the breakpoint."""
    mark = MARK | ({"ttl": ttl} if ttl else {})
    texts = ["one", "two", "three"]
    return {
        "tools": [{"name": "look", "input_schema": {"type": "object"}} | _marked(mark, marked, 0)],
        "system": [{"type": "text", "text": "Be kind."} | _marked(mark, marked, 1)],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": text} | _marked(mark, marked, n)]}
            for n, text in enumerate(texts, start=2)
        ],
    }


def _marked(mark: dict[str, str], marked: int | None, place: int) -> dict[str, object]:
    return {"cache_control": mark} if marked == place else {}


def prompt_of(
    body: dict[str, object],
) -> tuple[tuple[bytes, ...], tuple[tuple[int, str | None], ...]]:
    """Read a request as the collector does."""
    tools = {"gen_ai.tool.definitions": json.dumps(body["tools"])} if "tools" in body else {}
    found = content_of({"input.value": json.dumps(body)} | tools)
    return tuple(one.digest for one in found.prompt), found.marks


@pytest.mark.parametrize("place", range(5))
def test_moving_a_breakpoint_changes_no_segment(place: int) -> None:
    """The segments are those of the request without any; the breakpoint's place is known."""
    plain, none = prompt_of(anthropic(None))
    marked, marks = prompt_of(anthropic(place, "1h"))
    assert none == ()
    assert marked == plain
    assert marks == ((place, "1h"),)


def test_a_breakpoint_of_openai_and_of_bedrock_is_one_too() -> None:
    """`prompt_cache_breakpoint` in a part, and `cachePoint` as a block of its own."""
    part = {"type": "input_text", "text": "hello"}
    marked = part | {"prompt_cache_breakpoint": {"mode": "explicit"}}
    assert cache_markers.split({"role": "user", "content": [marked]}) == (
        {"role": "user", "content": [part]},
        True,
        None,
    )
    point = {"cachePoint": {"type": "default", "ttl": "5m"}}
    assert cache_markers.split({"role": "user", "content": [{"text": "hello"}, point]}) == (
        {"role": "user", "content": [{"text": "hello"}]},
        True,
        "5m",
    )


def test_what_a_tool_is_called_with_is_left_alone() -> None:
    """A program whose own data has such a key keeps it."""
    call = {"type": "tool_use", "name": "look", "input": {"cache_control": {"ttl": "1h"}}}
    message = {"role": "assistant", "content": [call]}
    assert cache_markers.split(message) == (message, False, None)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            {
                "role": "assistant",
                "diagnostics": {
                    "cache_miss_reason": {"type": "tools_changed", "cache_missed_input_tokens": 812}
                },
            },
            {"reason": "tools_changed", "missed_tokens": 812},
        ),
        (
            {
                "prompt_cache_diagnostics": {
                    "type": "cache_miss",
                    "reason": "input_changed",
                    "cache_missed_tokens": 3000,
                }
            },
            {"reason": "input_changed", "missed_tokens": 3000},
        ),
        ({"prompt_cache_diagnostics": {"type": "cache_hit"}}, {"reason": "cache_hit"}),
        ({"diagnostics": {"cache_miss_reason": None}}, None),
        ({"content": "my cache_miss_reason is unknown"}, None),
    ],
)
def test_what_a_provider_says_of_its_cache_is_kept(
    answer: dict[str, object], expected: dict[str, object] | None
) -> None:
    """Anthropic's reason and OpenAI's, in an answer's JSON; words in a text are none."""
    assert diagnosis(json.dumps(answer)) == expected
    assert diagnosis(answer) == expected
