"""Request traces of Mooncake's family: what they do not state is found out, and said."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_collector.importers import aiperf, bailian, mooncake
from phasewise_collector.importers.importer import Importer, Note, Skipped, Trace
from phasewise_collector.importers.trace_properties import block_tokens, time_unit
from phasewise_store.facts import Batch

SIZES = [16, 32, 64, 128, 256, 512, 1024]


def parts(
    importer: Importer, rows: Sequence[dict[str, object]], name: str = "t.jsonl"
) -> tuple[Batch, list[str], list[int | None]]:
    """Read rows; give the facts, the notes and the lines that were skipped."""
    data = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    found = list(importer.read(Trace(Path(name), "ab" * 32, data)))
    batch = next(part for part in found if isinstance(part, Batch))
    notes = [part.text for part in found if isinstance(part, Note)]
    return batch, notes, [part.line for part in found if isinstance(part, Skipped)]


@given(
    size=st.sampled_from(SIZES),
    tokens=st.lists(st.integers(1, 40_000), min_size=30, max_size=60),
    whole_blocks_only=st.booleans(),
)
def test_the_size_of_a_block_is_found(
    size: int, tokens: list[int], whole_blocks_only: bool
) -> None:
    """From lengths and numbers of ids alone, with or without partial blocks."""
    ids = [n // size if whole_blocks_only else -(-n // size) for n in tokens]
    found = block_tokens(list(zip(tokens, ids, strict=True)), "trace.jsonl")
    assert all(
        count == (n // found if whole_blocks_only else -(-n // found))
        for n, count in zip(tokens, ids, strict=True)
    )


@pytest.mark.parametrize(
    ("prompts", "name", "size"),
    [
        ([(17, 2)], "qwen_blksz_16.jsonl", 16),
        ([(17, 2)], "trace_block_size_9.jsonl", 9),
        ([(1100, 3)], "trace.jsonl", 512),
        ([(600, 2), (20, 2), (512, 1)], "trace.jsonl", 512),
        ([(40, 3), (72, 5), (33, 3)], "trace.jsonl", 16),
        ([(1000, 10)], "trace.jsonl", 100),
        ([(40, 3), (72, 5), (33, 3)], "named_blksz_512.jsonl", 16),
    ],
)
def test_one_size_is_taken_where_several_would_do(
    prompts: list[tuple[int, int]], name: str, size: int
) -> None:
    """What the lines show comes first, then the file's name, then what is usual."""
    assert block_tokens(prompts, name) == size


@pytest.mark.parametrize(
    ("last", "usual", "unit"),
    [
        (61.25, (10**9, "seconds"), "seconds"),
        (7_199_000, (10**9, "seconds"), "milliseconds"),
        (3_600_000, (10**6, "milliseconds"), "milliseconds"),
        (1_788_000_000, (10**6, "milliseconds"), "seconds"),
        (1_788_000_000_000, (10**6, "milliseconds"), "milliseconds"),
        (1_788_000_000_000_000, (10**6, "milliseconds"), "microseconds"),
        (1_788_000_000_000_000_000, (10**6, "milliseconds"), "nanoseconds"),
    ],
)
def test_the_unit_of_time_is_told_by_size(last: float, usual: tuple[int, str], unit: str) -> None:
    """A moment since 1970 shows its unit; times from a start are in the format's own."""
    assert time_unit([0, last], usual=usual)[1] == unit


@given(
    st.lists(
        st.tuples(st.integers(1, 5000), st.lists(st.integers(0, 9), min_size=10, max_size=10)),
        min_size=1,
        max_size=12,
    )
)
def test_a_prompt_holds_exactly_the_tokens_that_were_sent(
    prompts: list[tuple[int, list[int]]],
) -> None:
    """Also where one id is a full block here and a partial one there."""
    rows: list[dict[str, object]] = [
        {
            "timestamp": n,
            "input_length": tokens,
            "output_length": 1,
            "hash_ids": ids[: -(-tokens // 512)],
        }
        for n, (tokens, ids) in enumerate(prompts)
    ]
    batch, _, skipped = parts(mooncake, rows, "t_blksz_512.jsonl")
    assert skipped == []
    for call, (tokens, _) in zip(batch.llm_calls, prompts, strict=True):
        assert sum(segment.tokens for segment in call.prompt) == tokens


def test_chats_that_follow_from_one_are_a_session() -> None:
    """Two answers to the same chat too; the kind of request is the agent."""
    rows: list[dict[str, object]] = [
        {
            "chat_id": chat,
            "parent_chat_id": parent,
            "timestamp": chat / 2,
            "input_length": 20,
            "output_length": 3,
            "type": kind,
            "turn": 1,
            "hash_ids": [chat, chat + 10],
        }
        for chat, parent, kind in [(0, -1, "text"), (1, 0, "text"), (2, -1, "file"), (3, 0, "text")]
    ]
    batch, notes, _ = parts(bailian, rows, "qwen_traceB_blksz_16.jsonl")
    assert len(batch.sessions) == 2
    assert [call.step for call in batch.llm_calls] == [0, 1, 0, 2]
    assert [agent.name for agent in batch.agents] == ["text", "file"]
    assert batch.llm_calls[3].started_ns == 1_500_000_000
    assert notes == ["blocks of 16 tokens, times in seconds"]


def test_a_delay_counts_from_the_turn_before() -> None:
    """It is in milliseconds, fractions too; that answers took time is said."""
    rows: list[dict[str, object]] = [
        {"session_id": "s", "input_length": 9, "output_length": 1, "timestamp": 1000.0},
        {"session_id": "s", "input_length": 9, "output_length": 1, "delay": 1219.3},
    ]
    batch, notes, _ = parts(aiperf, rows)
    assert [call.started_ns for call in batch.llm_calls] == [10**9, 2_219_300_000]
    assert any("started later than stored" in note for note in notes)


def test_messages_are_whole_histories_or_what_is_new() -> None:
    """A delta is sent behind what came before; tools are part of the prompt."""
    tool = {"type": "function", "function": {"name": "f"}}
    first, second = {"role": "user", "content": "one"}, {"role": "user", "content": "two"}
    for mode, length in (("history", 1), ("delta", 3)):
        rows: list[dict[str, object]] = [
            {
                "session_id": "s",
                "message_mode": mode,
                "messages": [first],
                "tools": [tool],
                "output_length": 1,
            },
            {"session_id": "s", "message_mode": mode, "messages": [second], "output_length": 1},
        ]
        batch, _, _ = parts(aiperf, rows)
        assert [segment.kind for segment in batch.llm_calls[0].prompt] == ["tool", "message"]
        assert len(batch.llm_calls[1].prompt) == length
