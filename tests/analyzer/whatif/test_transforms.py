"""Each way to lay prompts out, on prompts made for it."""

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.whatif import layout, pinned_settings, template
from phasewise_analyzer.whatif.canonical_json import canonical
from phasewise_analyzer.whatif.constant_tools import constant, sorted_by_name
from phasewise_analyzer.whatif.json_strings import strings, with_more, with_strings
from phasewise_analyzer.whatif.layout import Laid
from phasewise_analyzer.whatif.moved_spans import moved
from phasewise_analyzer.whatif.prompt_locations import index, tool_at
from phasewise_store.facts import LlmCall, Segment, Usage
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.analyzer.whatif.conversations import message, tool

LINES = st.lists(st.sampled_from(["one two", "three", "<a> four", "five, six"]), max_size=6)
WORD = st.text("abc:/-0123456789", min_size=1, max_size=12)


def laid(*prompts: tuple[Segment, ...], session: str = "s", **fields: object) -> list[Laid]:
    """Make the calls of one stream."""
    made = []
    for step, prompt in enumerate(prompts):
        tokens = sum(part.tokens for part in prompt)
        call = LlmCall(
            call_id=f"{session}.{step}",
            session_id=session,
            agent_id=f"{session}/a",
            step=step,
            usage=Usage(uncached_tokens=tokens),
            prompt=prompt,
            **fields,  # type: ignore[arg-type]  # fields of LlmCall, chosen by the test
        )
        made.append(Laid(call, "a", "made", tokens))
    return made


def names(one: Laid) -> list[str]:
    """Give the names of a call's tools."""
    return [tool_at(part) for part in one.prompt if part.kind == "tool"]


@given(LINES, LINES, st.lists(WORD, min_size=2, max_size=6, unique=True))
def test_texts_of_one_template_part_to_the_same_template(
    before: list[str], after: list[str], values: list[str]
) -> None:
    """Whatever the value in the middle, all texts have the template's words in order."""
    texts = ["\n".join([*before, f"now: {value}", *after]) for value in values]
    groups = template.templates(texts, 0.0)
    assert len(groups) == 1
    shared, members = groups[0]
    assert set(members) == set(texts)
    for text in texts:
        assert template.common(template.words(text), shared) == shared
        rest = iter(template.words(text))
        assert all(word in rest for word in shared)


def test_texts_that_have_little_in_common_are_templates_of_their_own() -> None:
    """Two system prompts of one agent are not narrowed to the words of every language."""
    one, two = "You book flights for people who travel.", "Answer as a pirate would, with rum."
    assert [members for _, members in template.templates([one, two], 0.5)] == [(one,), (two,)]


def test_what_moves_stays_with_the_message_it_was_put_behind() -> None:
    """In the next call, the first question still has the first value behind it."""
    rules = "Be polite. " * 50
    systems = [message("system", f"Today is day-{day}.\n{rules}") for day in range(2)]
    first, answer, second = message("user", "a"), message("assistant", "b"), message("user", "c")
    one, two = moved(
        laid((systems[0], first), (systems[1], first, answer, second)), {"a": ["system[0]"]}
    )
    assert one.prompt[0] == two.prompt[0]
    assert one.prompt[1] == two.prompt[1]
    assert b"day-0" in (two.prompt[1].content or b"")
    assert b"day-1" in (two.prompt[3].content or b"")
    assert b"day-" not in (two.prompt[0].content or b"")


def test_a_tool_loop_keeps_the_value_of_its_question() -> None:
    """While tools run there is no new question: what was sent stays as it was."""
    rules = "Be polite. " * 50
    systems = [message("system", f"Today is day-{day}.\n{rules}") for day in range(2)]
    first, answer, result = message("user", "a"), message("assistant", "b"), message("tool", "c")
    one, two = moved(
        laid((systems[0], first), (systems[1], first, answer, result)), {"a": ["system[0]"]}
    )
    assert two.prompt[: len(one.prompt)] == one.prompt


def test_tools_are_sorted_or_kept_together_for_the_session() -> None:
    """Sorted by name; or all of the session's in each call, the first definition of each."""
    search, book, cancel = tool("search"), tool("book"), tool("cancel")
    edited = tool("book", "does another thing")
    user = message("user", "hi")
    calls = laid((search, book, user), (cancel, edited, search, user))
    assert [names(one) for one in sorted_by_name(calls, {"a": ["tools[0]"]})] == [
        ["book", "search"],
        ["book", "cancel", "search"],
    ]
    one, two = constant(calls, {"a": ["tools[0]"]})
    assert one.prompt == two.prompt == (search, book, cancel, user)
    assert list(sorted_by_name(calls, {"other": ["tools[0]"]})) == calls


def test_breakpoints_move_with_their_segments() -> None:
    """With a tool more in front, the marker on the last tool and that on the message both move."""
    search, book, user = tool("search"), tool("book"), message("user", "hi")
    calls = laid(
        (search, user), (search, book, user), request={"cache_markers": [[0, "1h"], [1, None]]}
    )
    one, _ = constant(calls, {"a": ["tools[0]"]})
    assert one.call.request["cache_markers"] == [[1, "1h"], [2, None]]


def test_json_is_written_in_one_way_also_inside_strings() -> None:
    """Key order and white space go, values stay."""
    inner = ['{"b": 1, "a": [1, 2]}', '{"a":[1,2],"b":1}']
    prompts = [
        (text_segment("message", orjson.dumps({"role": "user", "content": text}).decode(), "user"),)
        for text in inner
    ]
    turned = text_segment(
        "message", '{ "content": "{\\"a\\":[1,2],\\"b\\":1}", "role": "user" }', "user"
    )
    made = canonical(laid(*prompts, (turned,)), {"a": ["messages[0]"]})
    assert len({one.prompt for one in made}) == 1
    value = orjson.loads(made[0].prompt[0].content or b"")
    assert orjson.loads(value["content"]) == {"a": [1, 2], "b": 1}


def test_model_key_and_settings_are_those_of_the_first_call() -> None:
    """One model, one routing key, one set of settings for a stream."""
    user = (message("user", "hi"),)
    calls = [
        *laid(user, model="m1", provider="p", request={"tool_choice": "auto", "top_p": 1}),
        *laid(user, model="m2", provider="q", request={"tool_choice": "any", "top_p": 2}),
    ]
    where = {"a": ["model"]}
    assert {one.call.model for one in pinned_settings.model(calls, where)} == {"m1"}
    assert {one.call.provider for one in pinned_settings.model(calls, where)} == {"p"}
    keys = {
        one.call.request[pinned_settings.SHARD_KEY]
        for one in pinned_settings.shard_key(calls, where)
    }
    assert keys == {"a"}
    one, two = pinned_settings.settings(calls, where)
    assert one is calls[0]
    assert two.call.request == {"tool_choice": "auto", "top_p": 2}


def test_places_are_found_as_findings_name_them() -> None:
    """Tools by name, system blocks and messages by their number among their own."""
    prompt = (
        tool("search"),
        tool("book"),
        message("system", "x"),
        message("system", "y"),
        message("user", "z"),
    )
    found = [index(prompt, place) for place in ("tool:book", "tools[0]", "system[1]")]
    assert found == [1, 0, 3]
    assert index(prompt, "messages[0] user") == 4
    assert [index(prompt, place) for place in ("messages[1] user", "tool:x", "model")] == [None] * 3


def test_strings_of_json_are_replaced_in_place() -> None:
    """Only the strings that are named change; a text that is no JSON is one string."""
    part = text_segment("message", '{"role":"user","content":[{"type":"text","text":"a"}]}', "user")
    path = ("content", 0, "text")
    assert strings(part)[path] == "a"
    changed = with_strings(part, {path: "b"})
    assert changed.content == (part.content or b"").replace(b'"a"', b'"b"')
    assert orjson.loads(with_more(part, "more").content or b"")["content"][1]["text"] == "more"
    raw = text_segment("text", "plain\n")
    assert with_strings(raw, {(): "other"}).content == b"other"
    assert with_more(raw, "more").content == b"plain\n\nmore"


def test_a_longer_prompt_has_more_tokens_and_an_unchanged_one_its_own(store: Store) -> None:
    """Totals are scaled by the estimate; what stands behind the last breakpoint stays."""
    one, two = laid((message("user", "hello " * 50),), (message("user", "hello " * 50),))
    usage = Usage(cache_read_tokens=900, cache_write_5m_tokens=90, uncached_tokens=10)
    calls = [replace(each, call=replace(each.call, usage=usage)) for each in (one, two)]
    longer = calls[1].with_prompt((message("user", "hello " * 100),))
    layout.write(store, [calls[0], longer])
    found = store.frame("SELECT input_tokens, uncached_tokens FROM llm_calls ORDER BY ordinal")
    grown = longer.prompt[0].tokens / one.prompt[0].tokens
    assert found.row(0) == (1000, 10)
    assert found.row(1) == (round(1000 + 1000 * (grown - 1)), 10)
