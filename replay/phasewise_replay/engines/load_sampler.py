"""Watch a server while a block runs: its KV cache, its preemptions, and how its drafts do.

Read from `/metrics` once a second, in a thread. vLLM counts preemptions, and SGLang requests that
it retracted, which is the same. Both say what running requests hold; a cached block that nobody
uses counts as free. vLLM counts drafts; of SGLang's, its sliding mean says too little.
"""

import re
import threading
from collections.abc import Mapping
from contextlib import suppress

import httpx

from phasewise_replay.engine import DraftCounts, Load

EVERY_S = 1.0
ANSWER_S = 2.0
PREEMPTIONS = ("vllm:num_preemptions_total", "sglang:num_retracted_requests_total")
DRAFTS = (
    "vllm:spec_decode_num_drafts_total",
    "vllm:spec_decode_num_draft_tokens_total",
    "vllm:spec_decode_num_accepted_tokens_total",
)
"""steps of sequences that had a draft, tokens of drafts, and those of them that were accepted"""
KV_USE = ("vllm:kv_cache_usage_perc", "sglang:token_usage")
# of a page of metrics only these lines are read: parsing all of it takes milliseconds
_NAMES = "|".join(map(re.escape, PREEMPTIONS + KV_USE + DRAFTS))
_LINE = re.compile(rf"^({_NAMES})(?:\{{[^\n]*\}})? (\S+)", re.MULTILINE)


class LoadSampler:
    """Samples from `start` to `stop`."""

    def __init__(
        self, address: str, headers: Mapping[str, str], *, every_s: float = EVERY_S
    ) -> None:
        self._every_s = every_s
        self._http = httpx.Client(
            base_url=address, headers=headers, timeout=ANSWER_S, trust_env=False
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._preempted: list[float] = []
        self._used: list[float] = []
        self._drafts: list[tuple[float, ...]] = []

    def start(self) -> None:
        """Take the first sample, and go on in a thread."""
        self._sample()
        self._thread.start()

    def stop(self) -> Load | None:
        """Take the last sample; None where the server reports neither."""
        self._stopping.set()
        self._thread.join()
        self._sample()
        self._http.close()
        if not self._preempted and not self._used:
            return None
        during = self._used[1:-1]  # nothing runs at the first and the last
        return Load(
            preemptions=round(self._preempted[-1] - self._preempted[0])
            if self._preempted
            else None,
            kv_use_mean=sum(during) / len(during) if during else None,
            kv_use_peak=max(during, default=None),
            samples=len(during),
            drafts=self._grown(),
        )

    def _grown(self) -> DraftCounts | None:
        """Return what was drafted between the first and the last sample."""
        if not self._drafts:
            return None
        first, last = self._drafts[0], self._drafts[-1]
        return DraftCounts(*(round(now - then) for then, now in zip(first, last, strict=True)))

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            self._sample()

    def _sample(self) -> None:
        with suppress(httpx.HTTPError):  # a server that has died is found out elsewhere
            reply = self._http.get("/metrics")
            if reply.is_success:
                self._add(reply.text)

    def _add(self, text: str) -> None:
        found: dict[str, list[float]] = {}
        for name, value in _LINE.findall(text):
            found.setdefault(name, []).append(float(value))
        vllm, sglang = PREEMPTIONS
        if vllm in found:
            self._preempted.append(sum(found[vllm]))
        elif sglang in found or KV_USE[1] in found:
            # SGLang shows this counter only once it has counted something
            self._preempted.append(sum(found.get(sglang, [])))
        if all(name in found for name in DRAFTS):
            self._drafts.append(tuple(sum(found[name]) for name in DRAFTS))
        for name in KV_USE:
            if name in found:
                self._used.append(max(found[name]))  # of several engines the fullest
