"""What a diagnosis says besides its cause, of markers, hashes and raw prompts, and of any bytes."""

import json
import random
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.across import diagnose_across
from phasewise_analyzer.diagnosis.causes import CATALOGUE, Cause
from phasewise_analyzer.diagnosis.diagnose import diagnose
from phasewise_store.facts import Segment, SegmentKind
from phasewise_store.segments import block_segment, encoded_segment, raw_segments

from tests.analyzer.diagnosis.conversations import conversation
from tests.analyzer.diagnosis.shapes import SHAPES, segments

SYSTEM = "Be brief.\nDate: {}\n" + "Follow these rules in all you do. " * 30


def message(role: str, content: object, **fields: object) -> Segment:
    """Make the segment of one message."""
    kind: SegmentKind = "system" if role == "system" else "message"
    raw = orjson.dumps({"role": role, "content": content, **fields})
    return encoded_segment(kind, raw, role)


def hidden(prompt: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Take the contents out of a prompt."""
    return tuple(replace(part, content=None) for part in prompt)


def test_a_diagnosis_names_place_texts_and_what_a_repair_brings_back() -> None:
    """A date in the system prompt: the rules behind it and the messages stand again."""
    old = (message("system", SYSTEM.format("2026-01-02")), message("user", "Hello there"))
    new = (message("system", SYSTEM.format("2026-01-03")), message("user", "Hello there"))
    found = diagnose(old, new)
    assert found is not None
    assert (found.cause, found.tier, found.segment) == (causes.CLOCK, "system", 0)
    assert (found.place, found.path) == ("system[0]", "content")
    assert (found.before, found.after) == ("2026-01-02", "2026-01-03")
    raw = old[0].content or b""
    assert found.common_bytes == raw.index(b"2026-01-02") + len("2026-01-0")
    assert found.realigned_segments == 1
    rules = new[0].tokens * 9 // 10
    assert rules < found.realigned_tokens - new[1].tokens <= new[0].tokens


def test_a_message_that_is_edited_when_it_is_no_longer_the_last_is_an_edit() -> None:
    """A reminder taken out of it again; where all behind it went, somebody began there anew."""
    text = "Where is the lantern that we had in the harbour last week, and who took it?"
    old = (message("user", "Hello"), message("user", text + " Remember to be brief."))
    edited = diagnose(old, (old[0], message("user", text), message("assistant", "With Ada.")))
    assert edited is not None
    assert edited.cause is causes.HISTORY_EDITED
    longer = (*old, message("assistant", "With Ada."), message("user", "And now?"))
    anew = diagnose(longer, (old[0], message("user", text)))
    assert anew is not None
    assert anew.cause is causes.REWOUND


def test_of_two_changes_the_first_is_named() -> None:
    """A number in the system prompt hides a date behind it, an edit of the history, and a cut."""
    old = (
        message("system", "Turn 4 of 9.\n" + SYSTEM.format("2026-01-02")),
        *(message("user", f"question {number}") for number in range(5)),
    )
    text = "Turn 5 of 9.\n" + SYSTEM.format("2026-01-03")
    new = (message("system", text), old[1], *old[3:])
    found = diagnose(old, new)
    assert found is not None
    assert found.cause is causes.COUNTER
    assert found.realigned_segments == 4
    mended = diagnose((new[0], *old[1:]), new)
    assert mended is not None
    assert (mended.cause, mended.place) == (causes.HISTORY_CUT, "messages[1] user")


def test_a_tool_that_came_is_named_where_it_stands() -> None:
    """Not by the tool that it pushed back."""
    look, send = (encoded_segment("tool", b'{"name":"%s"}' % name) for name in (b"look", b"send"))
    found = diagnose((send, message("user", "one")), (look, send, message("user", "one")))
    assert found is not None
    assert (found.cause, found.place, found.after) == (causes.TOOL_ADDED, "tool:look", "look")


def test_equal_breaks_have_equal_places() -> None:
    """A tool by its name, a message by its number and role."""
    tool = encoded_segment("tool", b'{"name":"look","description":"Seen 3 times"}')
    other = encoded_segment("tool", b'{"name":"look","description":"Seen 4 times"}')
    asked = message("user", "one")
    by_tool = diagnose((tool, asked), (other, asked))
    assert by_tool is not None
    assert (by_tool.place, by_tool.path, by_tool.tier) == ("tool:look", "description", "tools")
    old = (tool, asked, message("assistant", "two"), message("user", "three"))
    new = (tool, asked, message("assistant", "two or so"), message("user", "three"))
    by_message = diagnose(old, new)
    assert by_message is not None
    assert (by_message.place, by_message.tier) == ("messages[1] assistant", "messages")


@pytest.mark.parametrize("name", ["cache_control", "prompt_cache_breakpoint"])
def test_a_marker_that_moved_is_no_break(name: str) -> None:
    """Even where segments hold it, and where a marked message is a list and else a string."""
    mark = {name: {"type": "ephemeral"}}
    old = (
        message("system", "Be brief."),
        message("user", "one"),
        message("user", [{"type": "text", "text": "two", **mark}]),
    )
    new = (
        message("system", [{"type": "text", "text": "Be brief.", **mark}]),
        message("user", [{"type": "text", "text": "one"}], **mark),
        message("user", "two"),
        message("user", "three"),
    )
    assert diagnose(old, new) is None


def test_a_marker_that_stands_alone_is_no_part_of_the_prompt() -> None:
    """Bedrock's `cachePoint` blocks, in a message and among the tools."""
    point = {"cachePoint": {"type": "default"}}
    tool = encoded_segment("tool", b'{"toolSpec":{"name":"look"}}')
    marker = encoded_segment("tool", orjson.dumps(point))
    old = (tool, marker, message("user", [{"text": "one"}, point]), message("user", "two"))
    new = (tool, message("user", [{"text": "one"}]), message("user", "two"))
    assert diagnose(old, new) is None
    changed = diagnose(old, (*new[:2], message("user", "quite another thing")))
    assert changed is not None
    assert changed.segment == 3


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda parts, new: [*parts[:3], new, *parts[4:]], causes.HIDDEN_EDITED),
        (lambda parts, new: [*parts[:3], new, *parts[3:]], causes.HIDDEN_INSERTED),
        (lambda parts, _: [*parts[:3], *parts[5:]], causes.HIDDEN_REMOVED),
        (lambda parts, _: [*parts[:3], parts[4], parts[3], *parts[5:]], causes.HIDDEN_REORDERED),
        (lambda parts, new: [*parts, new], None),
    ],
)
@pytest.mark.parametrize("blocks", [True, False])
def test_hashes_tell_the_shape_of_a_change(
    change: Callable[[list[Segment], Segment], list[Segment]], cause: Cause | None, blocks: bool
) -> None:
    """In blocks, and in each tier of segments without their content."""
    if blocks:
        parts = [block_segment(b"", number, 16) for number in range(8)]
        new = block_segment(b"", 99, 16)
        starts = [0]
    else:
        made = conversation(random.Random(7))
        parts = list(hidden(segments(SHAPES["chat"](made))))
        new = replace(parts[-1], digest=b"another")
        starts = [0, len(made.tools) - 1]
    for start in starts:
        head, tail = parts[:start], parts[start:]
        found = diagnose(parts, [*head, *change(tail, new)])
        assert (None if found is None else found.cause) == cause
        assert found is None or found.before == found.after == ""


TURNS = (
    "<|im_start|>system\nDate: {date}. {rules}<|im_end|>\n"
    "<|im_start|>user\nHow far is it from Ulm?\n<|im_end|>\n"
    "<|im_start|>assistant\n{think}About ninety minutes by train, in most cases.<|im_end|>\n"
)
RULES = "\n".join(f"Rule {number}: be kind, be exact, be brief." for number in range(60))


def rendered(date: str = "2026-01-02", rules: str = RULES, think: str = "") -> str:
    """Render a chat as a template does."""
    return TURNS.format(date=date, rules=rules, think=think)


@pytest.mark.parametrize(
    ("new", "cause"),
    [
        (rendered() + "<|im_start|>user\nThanks\n", None),
        (rendered(date="2026-01-03"), causes.CLOCK),
        (rendered(rules=RULES.replace("\n", "\n\n", 1)) + "more", causes.WHITESPACE),
        (rendered(rules=RULES[RULES.index("Rule 30") :]), causes.HISTORY_CUT),
        (
            rendered(rules="Rule 0: never shout at anybody whatever the reason.\n" + RULES),
            causes.INSERTED,
        ),
        (rendered().replace("<|im_end|>\n", "</s>\n") + "more", causes.RE_RENDERED),
        (
            rendered(rules=RULES.replace("Rule 7: be kind", "Rule 7: be firm")),
            causes.HISTORY_EDITED,
        ),
    ],
)
def test_raw_prompts_are_judged_by_their_text(new: str, cause: Cause | None) -> None:
    """A completion's prompt is cut into segments anywhere: only what is in it counts."""
    found = diagnose(raw_segments(rendered()), raw_segments(new))
    assert (None if found is None else found.cause) == cause


def test_thinking_that_a_template_drops_is_named() -> None:
    """A `<think>` block of an earlier turn is gone when the next prompt is rendered."""
    old = raw_segments(rendered(think="<think>\nninety, I believe\n</think>\n\n"))
    found = diagnose(old, raw_segments(rendered() + "<|im_start|>user\nThanks\n"))
    assert found is not None
    assert found.cause is causes.THINKING_STRIPPED


def test_the_catalogue_has_names_that_are_its_own() -> None:
    """Names are keys of findings; each cause says what happened and what to do."""
    names = [cause.name for cause in CATALOGUE]
    assert len(set(names)) == len(names) >= 35
    assert all(cause.what and cause.fix for cause in CATALOGUE)
    assert {cause.name for cause in CATALOGUE if not cause.wasteful} == {
        "compaction",
        "rewound",
        "below the minimum",
    }


NASTY = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"",
            b"{",
            b"[" * 3000,
            b"[" * 500 + b"]" * 500,
            b'{"role":3,"content":[1,null,{"type":[]}]}',
            b'{"role":"user","content":[{"text":"\xf0\x9f\x98\x80"}]}',
            b'{"function":7,"cache_control":{}}',
            b'{"content":[{"cachePoint":{}}]}',
            b'"\\ud800"',
            b"9" * 5000,
            b'{"a":"' + b"9" * 5000 + b'"}',
            b'{"a":"[' + b"9" * 5000 + b']"}',
        ]
    ),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=9)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    ["role", "content", "type", "text", "tool_calls", "function", "name", "id"]
                ),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)
SEGMENTS = st.lists(
    st.builds(
        lambda kind, raw, role: Segment(
            kind, kind.encode() + str(role).encode() + raw, 3, role, raw
        ),
        st.sampled_from(["tool", "system", "message", "text"]),
        NASTY,
        st.sampled_from([None, "user", "assistant", "system", "tool"]),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(SEGMENTS, SEGMENTS)
def test_nothing_raises_and_a_prompt_that_grows_never_breaks(
    old: list[Segment], new: list[Segment]
) -> None:
    """Any bytes of any kind in any order; a prompt with anything behind it is no break."""
    assert diagnose(old, [*old, *new]) is None
    assert diagnose_across(old, [*old, *new]) is None
    found = diagnose(old, new)
    assert found is None or 0 <= found.segment < len(old)
    diagnose_across(old, new)
