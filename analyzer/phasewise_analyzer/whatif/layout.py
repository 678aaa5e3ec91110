"""Recorded calls with their prompts in memory, to be rewritten and stored as a data set.

Transforms take all calls in order and return them changed. `write` scales usage: an unchanged
prompt keeps the provider's total, otherwise the total changes in proportion to its estimate.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson
from phasewise_store import reads
from phasewise_store.facts import Agent, Batch, LlmCall, Segment, Session, Source, Usage
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store
from phasewise_store.trie import Trie

Prompt = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Laid:
    """One call whose prompt may be laid out in another way."""

    call: LlmCall
    """as recorded, but for its prompt, request and model"""
    agent: str
    source: str
    recorded_tokens: int
    """estimated tokens of the prompt as it was recorded"""

    @property
    def prompt(self) -> Prompt:
        """What is sent now."""
        return self.call.prompt

    def with_prompt(self, prompt: Prompt) -> "Laid":
        """Return the call with another prompt; its breakpoints move along."""
        if prompt == self.call.prompt:
            return self
        request = _with_markers(self.call.request, self.call.prompt, prompt)
        return replace(self, call=replace(self.call, prompt=prompt, request=request))

    def with_request(self, request: Mapping[str, object]) -> "Laid":
        """Return the call with other settings."""
        return replace(self, call=replace(self.call, request=request))

    def sold_by(self, provider: str | None, model: str | None) -> "Laid":
        """Return the call to another model."""
        return replace(self, call=replace(self.call, provider=provider, model=model))


def read(store: Store, scope: Scope = EVERYTHING) -> tuple[Laid, ...]:
    """Read the calls in scope whose prompts are known as text, in order of arrival."""
    trie = reads.trie(store, scope)
    rows = [
        (row, call)
        for row, call in enumerate(reads.llm_calls(store, scope).iter_rows(named=True))
        if trie.leaf[row] >= 0 and not call["block_tokens"]
    ]
    paths = {row: _path(trie, int(trie.leaf[row])) for row, _ in rows}
    texts = reads.segments(store, {one for path in paths.values() for one in path})
    laid = []
    for row, call in rows:
        prompt = tuple(texts[one] for one in paths[row])
        laid.append(
            Laid(_call(call, prompt), call["agent"], call["source"], sum(s.tokens for s in prompt))
        )
    return tuple(laid)


def write(store: Store, laid: Sequence[Laid], *, suffix: str = "") -> None:
    """Put the calls into a store, one batch a data set.

    `suffix` goes behind the names of data sets, sessions, agents and calls.
    """
    for source in dict.fromkeys(one.source for one in laid):
        of_source = [one for one in laid if one.source == source]
        name = source + suffix
        calls = tuple(_named(one, suffix) for one in of_source)
        agents = {
            call.agent_id: Agent(call.agent_id, call.session_id, one.agent)
            for one, call in zip(of_source, calls, strict=True)
        }
        store.write(
            Batch(
                Source(source_id(name, of_source), name, "whatif", name),
                sessions=tuple(map(Session, dict.fromkeys(one.session_id for one in calls))),
                agents=tuple(agents.values()),
                llm_calls=calls,
            )
        )


def source_id(name: str, laid: Sequence[Laid]) -> str:
    """Name a data set by what is in it: the same repair of the same calls is written once."""
    digest = hashlib.sha256(name.encode())
    for one in laid:
        digest.update(one.call.call_id.encode())
        for segment in one.prompt:
            digest.update(segment.digest)
    return digest.hexdigest()


def _path(trie: Trie, leaf: int) -> list[int]:
    path = []
    node = leaf
    while node >= 0:
        path.append(int(trie.segment[node]))
        node = int(trie.parent[node])
    return path[::-1]


def _call(row: Mapping[str, object], prompt: Prompt) -> LlmCall:
    usage = Usage(
        **{
            name: row[name]
            for name in (
                *("uncached_tokens", "cache_read_tokens", "cache_write_5m_tokens"),
                *("cache_write_1h_tokens", "output_tokens", "reasoning_tokens"),
                "cache_reported",
            )
        },  # type: ignore[arg-type]  # columns of the same names and types
        origin=row["usage_origin"],  # type: ignore[arg-type]  # one of the words, by the schema
    )
    names = (
        *("call_id", "session_id", "agent_id", "step", "provider", "model", "started_ns"),
        *("duration_ns", "ttft_ns", "fidelity"),
    )
    return LlmCall(
        **{name: row[name] for name in names},  # type: ignore[arg-type]  # as above
        usage=usage,
        prompt=prompt,
        request=orjson.loads(str(row["request"])),
    )


def _named(one: Laid, suffix: str) -> LlmCall:
    """Return the call to be stored, with the usage of its new prompt."""
    call = one.call
    return replace(
        call,
        call_id=call.call_id + suffix,
        session_id=call.session_id + suffix,
        agent_id=call.agent_id + suffix,
        usage=_usage(one),
    )


def _usage(one: Laid) -> Usage:
    """Scale the totals; what stands behind the last breakpoint stays, it is the template's."""
    usage = one.call.usage
    now = sum(segment.tokens for segment in one.prompt)
    if now == one.recorded_tokens or not one.recorded_tokens:
        return usage
    more = round(usage.input_tokens * (now - one.recorded_tokens) / one.recorded_tokens)
    parts = {
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_5m_tokens": usage.cache_write_5m_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "uncached_tokens": usage.uncached_tokens,
    }
    changed = {}
    for name, tokens in parts.items():
        changed[name] = max(0, tokens + more) if tokens else 0
        more -= changed[name] - tokens
    return replace(usage, **changed)  # type: ignore[arg-type]  # token counts, by name


def _with_markers(request: Mapping[str, object], old: Prompt, new: Prompt) -> Mapping[str, object]:
    """Move recorded breakpoints: those on tools from the front, others from the end."""
    written = request.get("cache_markers")
    if not isinstance(written, list) or len(old) == len(new):
        return request
    tools = sum(1 for one in new if one.kind == "tool")
    moved = []
    for place, ttl in written:
        on_tool = place < len(old) and old[place].kind == "tool"
        there = tools - 1 if on_tool else place + len(new) - len(old)
        if 0 <= there < len(new):
            moved.append([there, ttl])
    return {**request, "cache_markers": moved}
