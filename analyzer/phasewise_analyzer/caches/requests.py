"""Make what a cache is asked out of recorded calls, one after another in order of their start."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
from phasewise_store import reads
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer.caches.policy import Keys, Policy
from phasewise_analyzer.caches.prompt_cache import MESSAGES, TIERS, Asked, Marker
from phasewise_analyzer.caches.prompt_positions import Places, PromptPlaces
from phasewise_analyzer.prefixes import own_tokenizer, placed_tree, prefix_tree, shared_prefixes
from phasewise_analyzer.prefixes.own_tokenizer import Tokenizer
from phasewise_analyzer.prefixes.placed_tree import PlacedTree
from phasewise_analyzer.prefixes.prompt_tokens import PromptTokens
from phasewise_analyzer.request_settings import stated

_KINDS = "SELECT segment_id, kind, coalesce(role, kind) FROM segments WHERE kind <> 'block'"
TIER_OF = {"tool": TIERS.index("tools"), "system": TIERS.index("system")}
"""by kind of segment; all others are messages"""
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "service_tier": ("servicetier",),
    "speed": ("speed", "fast", "fastmode"),
    "betas": ("betas", "anthropicbeta", "openaibeta"),
    "web_search": ("websearch", "websearchoptions"),
    "context_management": ("contextmanagement",),
    "output_format": ("outputformat", "responseformat", "responseschema"),
    "tool_choice": ("toolchoice", "toolconfig", "functioncallingconfig", "functioncall"),
    "disable_parallel_tool_use": ("disableparalleltooluse", "paralleltoolcalls"),
    "thinking": ("thinking", "thinkingconfig", "thinkingbudget", "enablethinking"),
    "effort": ("effort", "reasoningeffort", "reasoning", "reasoninglevel", "thinkinglevel"),
    "cache_salt": ("cachesalt",),
}
"""how requests spell the settings that a policy may name; `images_present` is in no request, and
the model is part of the space"""
REMEMBERED = 1024
"""requests whose settings are read once: those of one agent are the same in most calls"""
_UNTIMED_STEP_S = 1e-3
"""calls without times are taken to follow one another so closely that nothing expires"""


class Settings:
    """The settings of a request, of which a policy names some; most calls have the same ones."""

    __slots__ = ("_by_keys", "said")

    def __init__(self, written: str) -> None:
        self.said: Mapping[str, object] = orjson.loads(written)
        self._by_keys: dict[Keys, tuple[Hashable, Hashable, Hashable]] = {}

    def of(self, keys: Keys) -> tuple[Hashable, Hashable, Hashable]:
        """Give what tells tools, system prompt and messages of two requests apart."""
        if keys not in self._by_keys:
            self._by_keys[keys] = _settings(self.said, keys)
        return self._by_keys[keys]


@lru_cache(maxsize=REMEMBERED)
def settings_of(written: str) -> Settings:
    """Read the settings of a request; the same text gives the same object."""
    return Settings(written)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded call with a known prompt."""

    row: int
    """place among the calls in scope, in order of arrival"""
    asked: Asked
    """without settings: those depend on the policy"""
    request: Settings
    answers: Callable[[], tuple[Asked, ...]] = tuple
    """makes the prompts with what the model answered, where later prompts show it"""

    def under(self, policy: Policy) -> Asked:
        """Give what a cache of this policy is asked."""
        settings = self.request.of(policy.keys)
        answers = self.answers() if policy.keeps_answers else ()
        if settings == self.asked.settings and answers == self.asked.answers:
            return self.asked
        return replace(self.asked, settings=settings, answers=answers)


@dataclass(frozen=True, slots=True)
class Known:
    """What requests are made of."""

    calls: pl.DataFrame
    """columns of `reads.llm_calls`, in order of arrival"""
    placed: PlacedTree
    earlier: npt.NDArray[np.int32]
    """[calls] the deepest node that an earlier call of the model had sent, -1: none"""

    @classmethod
    def read(cls, store: Store, scope: Scope) -> Self:
        """Read them of the calls in scope."""
        with store.snapshot():
            calls, placed = reads.llm_calls(store, scope), placed_tree.read(store, scope)
        earlier = shared_prefixes.any_earlier(placed.tree, models(calls))
        return cls(calls, placed, earlier)


def models(calls: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Give the number of each call's model: a cache belongs to one, and to one data set."""
    found = calls.select(pl.struct("source", "provider", "model").rank("dense") - 1).to_series()
    return found.to_numpy().astype(np.int64)


class Requests:
    """The calls in scope as caches see them."""

    def __init__(
        self,
        store: Store,
        scope: Scope = EVERYTHING,
        *,
        tokenizers: Mapping[str, Tokenizer] | None = None,
        known: Known | None = None,
    ) -> None:
        """Read calls and prompts; without `tokenizers`, those count that the store keeps.

        `known` is what is at hand of the calls in scope.
        """
        known = known or Known.read(store, scope)
        self.calls, self.earlier = known.calls, known.earlier
        placed = known.placed
        self.tokenizers = own_tokenizer.of(store) if tokenizers is None else tokenizers
        self.tree: prefix_tree.PrefixTree = placed.tree
        self.stored = placed.stored
        own = own_tokenizer.counted(store, placed, self.calls, self.tokenizers)
        self.tokens = PromptTokens(self.calls, self.tree, own)
        tier, self._role_of = {}, {}
        for number, kind, role in store.frame(_KINDS).iter_rows():
            tier[number] = TIER_OF.get(kind, MESSAGES)
            self._role_of[number] = role
        self._segment = placed.segment
        self._whole = _ends_of_segments(placed, self.calls)
        tiers = [tier.get(one, MESSAGES) for one in placed.segment.tolist()]
        self._places = PromptPlaces(self.tree.parent, self._whole, tiers, self.tokens)
        self._answers = self._find_answers()
        self.rows: list[dict[str, Any]] = self.calls.rows(named=True)

    def __iter__(self) -> Iterator[Recorded]:
        """Give the calls with a known prompt, earliest start first."""
        for row in self._order():
            leaf = int(self.tree.leaf[row])
            if leaf >= 0:
                yield self._recorded(row, leaf)

    def role(self, row: int) -> str:
        """Give the role of the last message of a call's prompt."""
        leaf = int(self.tree.leaf[row])
        return self._role_of.get(int(self._segment[leaf]), "block") if leaf >= 0 else "unknown"

    def _order(self) -> list[int]:
        starts = self.calls["started_ns"].to_list()
        if None in starts:
            return list(range(len(starts)))
        return sorted(range(len(starts)), key=starts.__getitem__)

    def _recorded(self, row: int, leaf: int) -> Recorded:
        call = self.rows[row]
        stream = call["agent_id"], call["provider"], call["model"], call["block_tokens"]
        places = self._places.of(row, leaf, stream)
        settings = settings_of(call["request"])
        asked = asked_of(call, settings.said, places, row=row, tokens=int(self.tokens.whole[row]))
        return Recorded(row, asked, settings, partial(self._answered, row, asked))

    def _find_answers(self) -> dict[int, list[int]]:
        """Give, for the nodes where a prompt ends, those where an answer behind it ends."""
        ended = set(self.tree.leaf.tolist())
        parent = self._places.parent
        found: dict[int, list[int]] = {}
        for node, segment in enumerate(self._segment.tolist()):
            if self._whole[node] and self._role_of.get(segment) == "assistant":
                above = parent[node]
                while above >= 0 and not self._whole[above]:
                    above = parent[above]
                if above in ended:
                    found.setdefault(above, []).append(node)
        return found

    def _answered(self, row: int, asked: Asked) -> tuple[Asked, ...]:
        """Give the call's prompt with what the model answered, where a later prompt shows it."""
        return tuple(
            with_answer(asked, self._places.behind(row, asked.path, node))
            for node in self._answers.get(asked.path[-1], ())
        )


def with_answer(asked: Asked, answer: Places) -> Asked:
    """Give a prompt with an answer behind it: the places that it adds."""
    return Asked(
        asked.space,
        asked.started_s,
        asked.available_s,
        path=[*asked.path, *answer.path],
        ends=[*asked.ends, *answer.ends],
        whole=[*asked.whole, *answer.whole],
        tiers=[*asked.tiers, *answer.tiers],
        tokens=asked.tokens + answer.ends[-1] - asked.ends[-1],
        settings=asked.settings,
        markers=asked.markers,
        sharding=asked.sharding,
        implicit=asked.implicit,
    )


def asked_of(
    call: Mapping[str, Any],
    request: Mapping[str, object],
    places: Places,
    *,
    row: int,
    tokens: int,
) -> Asked:
    """Make what a cache is asked by a recorded call, without settings and answers.

    `row` is the number of calls of the data set before it, `tokens` are those of its whole prompt.
    """
    start_s = row * _UNTIMED_STEP_S if call["started_ns"] is None else call["started_ns"] / 1e9
    return Asked(
        space=(call["source"], call["provider"], call["model"]),
        started_s=start_s,
        available_s=start_s + (call["ttft_ns"] or call["duration_ns"] or 0) / 1e9,
        path=places.path,
        ends=places.ends,
        whole=places.whole,
        tiers=places.tiers,
        tokens=tokens,
        markers=_markers(call, request, places.whole),
        sharding=request.get("prompt_cache_key"),
        implicit=not _is_explicit(request),
    )


def _ends_of_segments(placed: placed_tree.PlacedTree, calls: pl.DataFrame) -> list[bool]:
    """Mark the nodes at which a segment ends.

    Blocks of a hashed trace are no segments: there, what is known is where prompts ended.
    """
    whole = ~placed.inside
    hashed = calls["block_tokens"].fill_null(0).to_numpy() > 0
    leaf = placed.tree.leaf
    # where all prompts are hashed, so is every node
    all_hashed = bool(hashed[leaf >= 0].all())
    under = np.full(len(whole), all_hashed)
    for node in [] if all_hashed else np.unique(leaf[hashed & (leaf >= 0)]).tolist():
        here = node
        while here >= 0 and not under[here]:
            under[here] = True
            here = int(placed.tree.parent[here])
    ended = np.zeros(len(whole), dtype=np.bool_)
    ended[leaf[leaf >= 0]] = True
    found: list[bool] = (whole & (~under | ended)).tolist()
    return found


def _markers(
    call: Mapping[str, object], request: Mapping[str, object], whole: list[bool]
) -> tuple[Marker, ...] | None:
    """Give the breakpoints that the request carried; None where the trace cannot say."""
    written, automatic = request.get("cache_markers"), request.get("cache_control")
    if not written and not isinstance(automatic, Mapping):
        return () if call["fidelity"] == "verbatim" else None
    segments = [place for place, ends in enumerate(whole) if ends]
    found = [
        Marker(segments[place], ttl)
        for place, ttl in (written if isinstance(written, list) else ())
        if place < len(segments)
    ]
    if isinstance(automatic, Mapping) and segments:
        ttl = automatic.get("ttl")
        found.append(Marker(segments[-1], ttl if isinstance(ttl, str) else None))
    if not found and call["fidelity"] != "verbatim":
        return None
    return tuple(found)


def _is_explicit(request: Mapping[str, object]) -> bool:
    options = request.get("prompt_cache_options")
    return isinstance(options, Mapping) and options.get("mode") == "explicit"


def _settings(request: Mapping[str, object], keys: Keys) -> tuple[Hashable, Hashable, Hashable]:
    said = dict(stated(request))

    def of(names: tuple[str, ...]) -> Hashable:
        spellings = [spelt for name in names for spelt in SPELLINGS.get(name, (name,))]
        return tuple(said[one] for one in spellings if one in said) or None

    return of(keys.tools), of(keys.system), of(keys.messages)
