"""Serve requests with SGLang's own tree and allocator; run by SGLang's Python, JSON in, JSON out.

Reads a list of cases and writes, for each, what every request found cached and what was evicted up
to its end. The steps are those of SGLang's scheduler; matching, inserting, splitting, freeing what
is there twice and choosing what to evict are SGLang's own code.
"""

import json
import sys
from array import array
from types import SimpleNamespace
from typing import Any

import torch  # type: ignore[import-not-found]
from sglang.srt.mem_cache.allocator import (  # type: ignore[import-not-found]
    PagedTokenToKVPoolAllocator,
    TokenToKVPoolAllocator,
)
from sglang.srt.mem_cache.base_prefix_cache import (  # type: ignore[import-not-found]
    MatchPrefixParams,
)
from sglang.srt.mem_cache.cache_init_params import (  # type: ignore[import-not-found]
    CacheInitParams,
)
from sglang.srt.mem_cache.radix_cache import (  # type: ignore[import-not-found]
    RadixCache,
    RadixKey,
)
from sglang.srt.mem_cache.unified_cache.component_type import (  # type: ignore[import-not-found]
    ComponentType,
)
from sglang.srt.mem_cache.unified_radix_cache import (  # type: ignore[import-not-found]
    UnifiedRadixCache,
)


class Server:
    """SGLang's cache of one size, and what a scheduler does around it."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.page = case["page"]
        self.chunk = case["chunk"]
        self.overlapped = case["overlapped"]
        self.evicted = 0
        size = case["capacity"] // self.page * self.page
        place = {"dtype": torch.int64, "device": "cpu", "kvcache": None, "need_sort": False}
        self.pool: Any = (
            TokenToKVPoolAllocator(size, **place)
            if self.page == 1
            else PagedTokenToKVPoolAllocator(size, page_size=self.page, **place)
        )
        self.rows = torch.zeros((1, size + self.page), dtype=torch.int32)
        if case["tree"] == "simulated":
            self.tree: Any = RadixCache.create_simulated(
                mock_allocator=self.pool, page_size=self.page
            )
        else:
            components = (ComponentType.FULL,)
            table = SimpleNamespace(req_to_token=self.rows)
            self.tree = UnifiedRadixCache(
                CacheInitParams(False, table, self.pool, self.page, tree_components=components)
            )
        self.tree.req_to_token_pool = SimpleNamespace(
            req_to_token=self.rows, write=self.rows.__setitem__
        )

    def serve(self, prompt: list[int], output: list[int], namespace: str | None) -> int:
        """Serve one request; give what it found cached."""
        self.all = array("q", prompt + output)
        key = RadixKey(self.all, namespace, limit=len(prompt) - 1)
        match = self.tree.match_prefix(MatchPrefixParams(key=key))
        hit = int(match.device_prefix_len)
        if hit:
            self.rows[0, :hit] = self.tree.path_device_indices(match.last_device_node)
        self.request = SimpleNamespace(
            rid="one",
            extra_key=namespace,
            cache_salt=None,
            priority=0,
            session=None,
            session_id=None,
            kv_rotation_base=None,
            origin_input_ids=array("q", prompt),
            full_untruncated_fill_ids=self.all,
            finished=lambda: False,
            last_node=match.last_device_node,
            lock=self.tree.lock(match.last_device_node),
            kv=SimpleNamespace(
                req_pool_idx=0,
                cache_protected_len=hit,
                cache_inserted_len=0,
                swa_evict_floor=0,
            ),
        )
        self.length = hit
        while self.chunk and len(prompt) - self.length > self.chunk:
            self.grow(self.chunk, self.chunk + self.spare)
            self.keep(self.length)
        self.grow(len(prompt) - self.length, len(prompt) - self.length + self.spare)
        steps = len(output) - 1
        for step in range(steps):
            if step == int(self.overlapped):
                self.keep(len(prompt))
            self.grow(1, self.page)
        if steps == 1 and self.overlapped:
            self.keep(len(prompt))
        self.request.finished = lambda: True
        self.keep(len(prompt) + steps)
        own = self.rows[0, self.request.kv.cache_protected_len : self.length]
        if len(own):
            self.pool.free(own.to(torch.int64))
        self.tree.unlock(self.request.lock)
        return hit

    @property
    def spare(self) -> int:
        """Tokens a prefill step wants free beyond its own."""
        return int(self.page) if self.page > 1 else 0

    def grow(self, tokens: int, room: int) -> None:
        """Give the request places for more tokens."""
        shortfall = room - self.pool.available_size()
        if shortfall > 0:
            before = self.pool.available_size()
            self.pool.evict_to_free_tokens(self.tree, room)
            self.evicted += self.pool.available_size() - before
        begun = -(-self.length // self.page) * self.page
        self.length += tokens
        wanted = -(-self.length // self.page) * self.page - begun
        if wanted > 0:
            self.rows[0, begun : begun + wanted] = self.pool.alloc(wanted)

    def keep(self, tokens: int) -> None:
        """Insert what is computed."""
        self.tree.checkpoint(self.request, up_to=tokens)


def main() -> None:
    """Serve all cases."""
    answers = []
    for case in json.load(sys.stdin):
        server = Server(case)
        answers.append([[server.serve(*sent), server.evicted] for sent in case["requests"]])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
