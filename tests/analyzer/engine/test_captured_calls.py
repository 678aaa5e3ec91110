"""Captured calls: the text that a drafter sees, whose tokens it is, and reported lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_analyzer.engine.schedulers.drafts import Drafts, total
from phasewise_analyzer.engine.speculation.assumed import assumed_drafts, refuse_impossible
from phasewise_analyzer.engine.speculation.captured_calls import (
    CapturedCall,
    CapturedCalls,
    Drafter,
    stretched,
)
from phasewise_analyzer.engine.speculation.captured_tokens import generated_text
from phasewise_analyzer.engine.speculation.config import NgramConfig, SuffixConfig
from phasewise_store import reads, tokenizers
from phasewise_store.errors import UsageError
from phasewise_store.scope import Scope
from phasewise_store.segments import block_segment
from phasewise_store.store import Store
from phasewise_store.tokenizers import Definition

from tests.replay.recorded import write_hashed_sessions, write_repeating_sessions
from tests.tokenizers_for_tests import trained

NOTHING: TokenIds = np.empty(0, dtype=np.int64)


def test_text_is_what_a_model_writes(store: Store) -> None:
    """Words without JSON around them; a call of a tool is an object with name and arguments."""
    write_repeating_sessions(store, 1)
    (call,) = reads.output(store, "s0.0")
    (answer,) = reads.output(store, "s0.1")
    assert generated_text(call) == '{"name": "read", "arguments": {"path": "a"}}\n'
    assert generated_text(answer) == "see w0x0 w0x1 w0x2 w0x3 w0x4\n"


def test_drafts_follow_the_text_that_a_tool_gave(store: Store) -> None:
    """Of the answer's 22 tokens, the first comes from the prompt and the second is not drafted."""
    write_repeating_sessions(store, 2)
    calls = list(CapturedCalls(store, Scope()))
    assert [call.call_id for call in calls] == ["s0.0", "s0.1", "s1.0", "s1.1"]
    drafter = Drafter(NgramConfig(4, 2, 4))
    found = [drafter.drafts(call).steps().acceptance() for call in calls]
    assert (found[1].steps, found[1].drafts, found[1].drafted, found[1].accepted) == (5, 4, 16, 16)
    assert found[3] == found[1]
    whole = total(Drafter(SuffixConfig(24)).drafts(call).steps().acceptance() for call in calls)
    assert whole.accepted > total(found).accepted / 2
    chosen = CapturedCalls(store, Scope(), call_ids=["s1.0"])
    assert [call.call_id for call in chosen] == ["s1.0"]
    assert len(list(CapturedCalls(store, Scope(), most=3))) == 3


def test_tokens_are_estimated_or_the_model_s_own(store: Store) -> None:
    """With the recorded tokenizer the ids are its ids, and the basis says so."""
    write_repeating_sessions(store, 1)
    assert CapturedCalls(store, Scope()).basis() == "estimated tokens (pieces of text)"
    tokenizers.save(store, Definition("made-up", "t.json", trained("see w0x0 w0x1 read it")))
    calls = CapturedCalls(store, Scope())
    assert calls.basis() == "tokens of the model's own tokenizer"
    answer = list(calls)[1]
    # bytes that were not merged are single tokens
    assert 0 < len(answer.output) <= len("see w0x0 w0x1 w0x2 w0x3 w0x4\n")
    assert answer.output.max() < 400


def test_calls_without_text_are_left_out(store: Store) -> None:
    """Of hashed prompts neither text nor output is known; a hashed block has ids of its own."""
    write_hashed_sessions(store)
    assert list(CapturedCalls(store, Scope())) == []
    assert generated_text(block_segment(b"s", 1, 64)) == ""


def call(output_tokens: int, hidden: int = 0) -> CapturedCall:
    """Make a call of which only the lengths count."""
    return CapturedCall("c", "s", "a", NOTHING, NOTHING, output_tokens, hidden)


def drafts(drafted: list[int], accepted: list[int]) -> Drafts:
    """Make drafts by place."""
    return Drafts(np.array(drafted, dtype=np.int64), np.array(accepted, dtype=np.int64))


def test_steps_are_repeated_where_more_tokens_were_reported() -> None:
    """Two steps of three and one tokens, for an output of twice the length: four steps."""
    captured = drafts([0, 3, 0, 0, 0], [0, 2, 0, 0, 0])
    assert stretched(captured, call(5)) is captured
    longer = stretched(captured, call(10))
    assert longer.drafted.tolist() == [0, 3, 0, 0, 3, 0, 0, 0, 0, 0]
    assert longer.accepted.tolist() == [0, 2, 0, 0, 2, 0, 0, 0, 0, 0]


def test_reasoning_that_was_not_captured_drafts_nothing() -> None:
    """It comes first: four tokens, then the visible five."""
    captured = drafts([0, 3, 0, 0, 0], [0, 2, 0, 0, 0])
    behind = stretched(captured, call(9, hidden=4))
    assert behind.drafted.tolist() == [0, 0, 0, 0, 3, 0, 0, 0, 0]
    assert stretched(drafts([], []), call(3)).drafted.tolist() == [0, 0, 0]


@given(st.data(), st.integers(1, 30), st.integers(1, 60))
def test_stretched_drafts_fit_the_output(data: st.DataObject, captured: int, output: int) -> None:
    """Whatever the lengths, nothing is accepted beyond the end or beyond what was drafted."""
    drafted = [0, *data.draw(st.lists(st.integers(0, 4), min_size=captured, max_size=captured))]
    accepted = [min(one, captured + 1 - place) for place, one in enumerate(drafted)]
    hidden = data.draw(st.integers(0, output - 1))
    found = stretched(drafts(drafted, accepted), call(output, hidden))
    assert len(found.drafted) == len(found.accepted) == output
    assert found.drafted[0] == 0
    assert (found.accepted <= found.drafted).all()
    assert (found.accepted <= output - np.arange(output)).all()


@given(st.integers(1, 6), st.integers(2, 400), st.data())
def test_an_assumed_length_is_the_mean(tokens: int, output: int, data: st.DataObject) -> None:
    """Every step drafts; the mean acceptance length is the assumed one but for rounding."""
    length = data.draw(st.floats(1, tokens + 1))
    said = assumed_drafts(output, tokens, length).steps().acceptance()
    assert said.drafts == said.steps
    assert said.drafted == tokens * said.steps
    assert said.accepted <= said.steps * (length - 1) + 1e-6
    # the last step may end before it has accepted its share
    assert said.accepted >= (said.steps - 1) * (length - 1) - 1 - 1e-6


def test_an_impossible_acceptance_length_is_refused() -> None:
    """Four drafted tokens and one more are at most five."""
    refuse_impossible(5.0, NgramConfig(4))
    with pytest.raises(UsageError, match="between 1 and 5"):
        refuse_impossible(5.1, NgramConfig(4))
    with pytest.raises(UsageError, match="between 1 and 5"):
        refuse_impossible(0.9, NgramConfig(4))
