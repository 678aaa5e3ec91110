"""Recorded calls with the tokens of their prompts and outputs, and what a drafter makes of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from phasewise_store import reads
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_analyzer.engine.schedulers.drafts import Drafts
from phasewise_analyzer.engine.speculation.captured_tokens import Encoder, token_ids
from phasewise_analyzer.engine.speculation.config import NgramConfig, SpeculationConfig
from phasewise_analyzer.engine.speculation.ngram import ngram_drafts
from phasewise_analyzer.engine.speculation.suffix import SuffixDecoder
from phasewise_analyzer.prefixes import own_tokenizer

ROUND = 256
"""calls whose text is read at once"""
ESTIMATED = "estimated tokens (pieces of text)"


@dataclass(frozen=True, slots=True, eq=False)
class CapturedCall:
    """One recorded call as a drafter sees it."""

    call_id: str
    session_id: str
    agent: str | None
    prompt: TokenIds
    output: TokenIds
    output_tokens: int
    """as reported"""
    hidden_tokens: int
    """of these, reasoning that comes before the output and is not in it"""


@dataclass(frozen=True, slots=True)
class CapturedCalls:
    """The calls of a scope."""

    store: Store
    scope: Scope
    most: int | None = None
    """at most so many, from the first; None is all"""
    call_ids: Collection[str] | None = None
    """only these; None is all"""

    def __iter__(self) -> Iterator[CapturedCall]:
        """Yield the calls whose prompt and output are known, in order of arrival."""
        calls = reads.llm_calls(self.store, self.scope)
        trie = reads.trie(self.store, self.scope)
        calls = calls.with_columns(leaf=pl.Series(trie.leaf))
        calls = calls.filter((pl.col("leaf") >= 0) & (pl.col("output_segments").list.len() > 0))
        if self.call_ids is not None:
            calls = calls.filter(pl.col("call_id").is_in(list(self.call_ids)))
        if self.most is not None:
            calls = calls.head(self.most)
        encoders = own_tokenizer.of(self.store)
        known: dict[str | None, dict[int, TokenIds]] = {}
        for part in calls.iter_slices(ROUND):
            rows = list(part.iter_rows(named=True))
            paths = [trie.segment[trie.path(row["leaf"])].tolist() for row in rows]
            for model in {row["model"] for row in rows}:
                wanted = [
                    number
                    for row, path in zip(rows, paths, strict=True)
                    if row["model"] == model
                    for number in (*path, *row["output_segments"])
                ]
                self._learn(wanted, known.setdefault(model, {}), encoders.get(model))
            for row, path in zip(rows, paths, strict=True):
                yield _call(row, path, known[row["model"]])

    def basis(self) -> str:
        """Say whose tokens these are."""
        counted = "SELECT DISTINCT model FROM tokenizers"
        condition, parameters = self.scope.condition()
        models = self.store.frame(
            "SELECT count(*) AS calls, count(*) FILTER (c.model IN "
            f"({counted})) AS own FROM llm_calls c JOIN sources s USING (source_id) "
            f"LEFT JOIN agents a USING (agent_id) WHERE {condition}",
            parameters,
        )
        calls, own = models.row(0)
        if own == calls:
            return "tokens of the model's own tokenizer"
        return ESTIMATED if not own else f"{ESTIMATED}; its own tokenizer for {own:,} of {calls:,}"

    def _learn(
        self, segments: Sequence[int], ids: dict[int, TokenIds], encoder: Encoder | None
    ) -> None:
        """Tokenize the segments that are new."""
        fresh = {number for number in segments if number not in ids}
        if fresh:
            for number, segment in reads.segments(self.store, fresh).items():
                ids[number] = token_ids(segment, encoder)


def _call(row: Mapping[str, Any], path: Sequence[int], ids: Mapping[int, TokenIds]) -> CapturedCall:
    output = np.concatenate([ids[number] for number in row["output_segments"]])
    return CapturedCall(
        row["call_id"],
        row["session_id"],
        row["agent"],
        np.concatenate([ids[number] for number in path]),
        output,
        max(1, row["output_tokens"]),
        min(row["reasoning_tokens"], max(0, row["output_tokens"] - 1)),
    )


class Drafter:
    """Drafts for calls that come one after another."""

    def __init__(self, config: SpeculationConfig) -> None:
        self._config = config
        self._suffix = None if isinstance(config, NgramConfig) else SuffixDecoder(config)

    def drafts(self, call: CapturedCall) -> Drafts:
        """Return the drafts at the places of a call's captured output."""
        if isinstance(self._config, NgramConfig):
            return ngram_drafts(call.prompt, call.output, self._config)
        assert self._suffix is not None
        return self._suffix.drafts(call.prompt, call.output)


def stretched(drafts: Drafts, call: CapturedCall) -> Drafts:
    """Return drafts for as many tokens as the call reported.

    Where the captured text has another number of tokens, its decode steps are repeated or left out
    evenly: tokens per step stay what they are. Reasoning that was not captured comes first, and
    drafts nothing.
    """
    if len(drafts.drafted) == call.output_tokens:
        return drafts
    found = Drafts(*np.zeros((2, call.output_tokens), dtype=np.int64))
    steps = drafts.steps()
    if not len(steps.drafted):
        return found
    visible = call.output_tokens - call.hidden_tokens
    count = -(-len(steps.drafted) * visible // len(drafts.drafted))
    chosen = np.arange(count) * len(steps.drafted) // count
    gained = steps.accepted[chosen] + 1
    places = max(1, call.hidden_tokens) + np.cumsum(gained) - gained
    inside = places < call.output_tokens
    places, chosen = places[inside], chosen[inside]
    found.drafted[places] = steps.drafted[chosen]
    found.accepted[places] = np.minimum(steps.accepted[chosen], call.output_tokens - places)
    return found
