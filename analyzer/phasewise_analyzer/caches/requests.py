"""Make what a cache is asked out of recorded calls, one after another in order of their start."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import orjson
import polars as pl
from phasewise_store import reads
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer.caches.asking import TIERS, Asked, Marker
from phasewise_analyzer.caches.policy import Keys, Policy
from phasewise_analyzer.prefixes import placed_tree, prefix_tree
from phasewise_analyzer.prefixes.prompt_tokens import PromptTokens
from phasewise_analyzer.request_settings import stated

_KINDS = "SELECT segment_id, kind, coalesce(role, kind) FROM segments WHERE kind <> 'block'"
_MESSAGES = TIERS.index("messages")
_TIER_OF = {"tool": TIERS.index("tools"), "system": TIERS.index("system")}
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
_UNTIMED_STEP_S = 1e-3
"""calls without times are taken to follow one another so closely that nothing expires"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded call with a known prompt."""

    row: int
    """place among the calls in scope, in order of arrival"""
    asked: Asked
    """without settings: those depend on the policy"""
    request: Mapping[str, object]

    def under(self, policy: Policy) -> Asked:
        """Give what a cache of this policy is asked."""
        settings = _settings(self.request, policy.keys)
        if settings == self.asked.settings:
            return self.asked
        return replace(self.asked, settings=settings)


class Requests:
    """The calls in scope as caches see them."""

    def __init__(self, store: Store, scope: Scope = EVERYTHING) -> None:
        self.calls = reads.llm_calls(store, scope)
        placed = placed_tree.read(store, scope)
        self.tree: prefix_tree.PrefixTree = placed.tree
        self.tokens = PromptTokens(self.calls, self.tree)
        tier, self._role_of = {}, {}
        for number, kind, role in store.frame(_KINDS).iter_rows():
            tier[number] = _TIER_OF.get(kind, _MESSAGES)
            self._role_of[number] = role
        self._segment = placed.segment
        self._tier = [tier.get(one, _MESSAGES) for one in placed.segment.tolist()]
        self._whole = _ends_of_segments(placed, self.calls)
        self._parent = self.tree.parent.tolist()
        self._answers = self._find_answers()

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
        path = self._path(leaf)
        call = self.calls.row(row, named=True)
        whole = [self._whole[one] for one in path]
        tiers = [self._tier[one] for one in path]
        if tiers[0] < _MESSAGES:  # a system message among messages is a message
            tiers = np.maximum.accumulate(tiers).tolist()
        ends = self.tokens.at(np.full(len(path), row), np.array(path, dtype=np.int32)).tolist()
        request = orjson.loads(call["request"])
        start_s = row * _UNTIMED_STEP_S if call["started_ns"] is None else call["started_ns"] / 1e9
        asked = Asked(
            space=(call["source"], call["provider"], call["model"]),
            started_s=start_s,
            available_s=start_s + (call["ttft_ns"] or call["duration_ns"] or 0) / 1e9,
            path=path,
            ends=ends,
            whole=whole,
            tiers=tiers,
            tokens=int(self.tokens.whole[row]),
            markers=_markers(call, request, whole),
            sharding=request.get("prompt_cache_key"),
            implicit=not _is_explicit(request),
        )
        return Recorded(row, replace(asked, answers=self._answered(row, asked)), request)

    def _path(self, leaf: int) -> list[int]:
        path = []
        node = leaf
        while node >= 0:
            path.append(node)
            node = self._parent[node]
        return path[::-1]

    def _find_answers(self) -> dict[int, list[int]]:
        """Give, for the nodes where a prompt ends, those where an answer behind it ends."""
        ended = set(self.tree.leaf.tolist())
        found: dict[int, list[int]] = {}
        for node, segment in enumerate(self._segment.tolist()):
            if self._whole[node] and self._role_of.get(segment) == "assistant":
                above = self._parent[node]
                while above >= 0 and not self._whole[above]:
                    above = self._parent[above]
                if above in ended:
                    found.setdefault(above, []).append(node)
        return found

    def _answered(self, row: int, asked: Asked) -> tuple[Asked, ...]:
        """Give the call's prompt with what the model answered, where a later prompt shows it."""
        leaf = asked.path[-1]
        made = []
        for node in self._answers.get(leaf, ()):
            behind = self._path(node)[len(asked.path) :]
            ends = self.tokens.at(np.full(len(behind), row), np.array(behind, dtype=np.int32))
            made.append(
                replace(
                    asked,
                    path=[*asked.path, *behind],
                    ends=[*asked.ends, *ends.tolist()],
                    whole=[*asked.whole, *(self._whole[one] for one in behind)],
                    tiers=[*asked.tiers, *([_MESSAGES] * len(behind))],
                    tokens=asked.tokens + int(ends[-1]) - asked.ends[-1],
                )
            )
        return tuple(made)


def _ends_of_segments(placed: placed_tree.PlacedTree, calls: pl.DataFrame) -> list[bool]:
    """Mark the nodes at which a segment ends.

    Blocks of a hashed trace are no segments: there, what is known is where prompts ended.
    """
    whole = ~placed.inside
    hashed = calls["block_tokens"].fill_null(0).to_numpy() > 0
    leaf = placed.tree.leaf
    under = np.zeros(len(whole), dtype=np.bool_)
    for node in np.unique(leaf[hashed & (leaf >= 0)]).tolist():
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
    segments = [place for place, ends in enumerate(whole) if ends]
    written = request.get("cache_markers")
    found = [
        Marker(segments[place], ttl)
        for place, ttl in (written if isinstance(written, list) else ())
        if place < len(segments)
    ]
    automatic = request.get("cache_control")
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
