"""Histories that are read on from where the last one ended give what reading all of them gives."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_collector.dialects import histories, messages, written
from phasewise_collector.dialects.chat_values import Message, parsed
from phasewise_collector.dialects.histories import HERE, Histories
from phasewise_collector.dialects.written import Written

ENTRIES = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.text(max_size=4)}
    ),
    st.fixed_dictionaries({"content": st.sampled_from(["a", "]", '"messages": [', "\\"])}),
    st.sampled_from([1, 12, 1.5, None, "x", [], [{"role": "user"}]]),
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["append", "cut", "edit", "anew"]), st.integers(0, 5), ENTRIES, ENTRIES
    ),
    min_size=1,
    max_size=8,
)
SHAPES = ["list", "object", "object before", "object behind", "nested", "twice", "input"]


@pytest.fixture(autouse=True)
def _short_texts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "LEAST_CHARACTERS", 1)


def sent(entry: object) -> Iterator[Message]:
    """Take what has a role."""
    if isinstance(entry, dict) and "role" in entry:
        yield entry


def written_as(shape: str, entries: list[object], spaces: bool) -> str:
    """Write a request around a list."""
    listed = json.dumps(entries, separators=None if spaces else (",", ":"))
    return {
        "list": listed,
        "object": f'{{"messages": {listed}}}',
        "object before": f'{{"messages":{listed}, "model": "m", "tools": [1]}}',
        "object behind": f'{{"model": "\\"messages\\": [", "messages": {listed}}}',
        "nested": f'{{"first": {{"messages": {listed}}}, "messages": [{{"role": "tool"}}]}}',
        "twice": f'{{"messages": {listed}, "messages": [{{"role": "tool"}}]}}',
        "input": f'{{"input": {listed}, "prompt": "p"}}',
    }[shape]


def plainly(text: str) -> tuple[object, ...]:
    """Read a request as it is read without a memory."""
    return tuple(_as_written(messages._request_messages(parsed(text))))


def _as_written(found: Iterator[Message | Written]) -> Iterator[Written]:
    for one in found:
        yield one if isinstance(one, Written) else written.message(one)


@given(CHANGES, st.sampled_from(SHAPES), st.booleans())
@settings(max_examples=300, deadline=None)
def test_read_on_is_read_anew(
    changes: list[tuple[str, int, object, object]], shape: str, spaces: bool
) -> None:
    """Whatever became of the list in between, and wherever it stands in the request."""
    memory = Histories(messages._sent, "messages", "input")
    entries: list[object] = []
    for change, place, one, other in changes:
        if change == "append":
            entries = [*entries, one, other]
        elif change == "cut":
            entries = entries[:place]
        elif change == "edit":
            entries = [*entries[:place], one, *entries[place + 1 :]]
        else:
            entries = [one]
        text = written_as(shape, entries, spaces)
        read = memory.read(text)
        if read is not None:
            found = messages._request_messages(read.document, read.messages)
            assert tuple(_as_written(found)) == plainly(text)


def test_only_new_entries_are_looked_at() -> None:
    """A hundred calls with a hundred messages look at a hundred messages, not at five thousand."""
    seen: list[object] = []

    def convert(entry: object) -> Iterator[Message]:
        seen.append(entry)
        yield from sent(entry)

    memory = Histories(convert)
    entries = [{"role": "user", "content": f"message {number} " * 30} for number in range(100)]
    for number in range(1, 101):
        read = memory.read(json.dumps(entries[:number]))
        assert read is not None
        assert len(read.messages) == number
    assert len(seen) == 100


def test_sessions_side_by_side_go_on_each_from_its_own() -> None:
    """They share a long system prompt, so that their texts begin alike."""
    seen: list[object] = []

    def convert(entry: object) -> Iterator[Message]:
        seen.append(entry)
        yield from sent(entry)

    memory = Histories(convert, "messages")
    system = {"role": "system", "content": "you are an agent " * 40}
    for step in range(1, 6):
        for session in range(5):
            turns: list[Message] = [
                {"role": "user", "content": f"{session} {turn}"} for turn in range(step)
            ]
            read = memory.read(json.dumps({"messages": [system, *turns], "model": "m"}))
            assert read is not None
            assert read.document == {"messages": HERE, "model": "m"}
            assert [one.segment.content for one in read.messages[1:]] == [
                written.message(turn).segment.content for turn in turns
            ]
    assert len(seen) == 1 + 5 * 5


@pytest.mark.parametrize(
    "text",
    [
        '[{"role": "user"}',
        '[{"role": "user"},]',
        '[{"role": "user"} {"role": "user"}]',
        '[{"role": "\\ud800"}]',
        "[NaN]",
        "[" * 100_000,
        '{"messages": [{"role": "user"}], "model": }',
        '{"messages": "none"}',
        "no JSON",
    ],
)
def test_what_is_no_list_is_left_to_others(text: str) -> None:
    """Then the text is read as it was before there was a memory."""
    assert Histories(sent, "messages").read(text) is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts beyond the bound are forgotten, and read again."""
    monkeypatch.setattr(histories, "MOST_CHARACTERS", 1000)
    memory = Histories(sent)
    for number in range(200):
        text = json.dumps([{"role": "user", "content": f"{number} " * 100}])
        assert memory.read(text) is not None
        kept = sum(len(one.text) for alike in memory._known.values() for one in alike)
        assert kept <= 1000 + len(text)
