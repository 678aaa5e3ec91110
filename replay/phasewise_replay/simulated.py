"""`SimulatedEngine`: an exact model of vLLM's prefix cache, with step times from a roofline.

Serves one request at a time and needs nothing installed. A real model would not generate the
recorded output again, so the output here never matches the history: its blocks are cached, as in
the engine, and never hit.
"""

from dataclasses import asdict

import numpy as np
from phasewise_analyzer.engine import gpus, model_config
from phasewise_analyzer.engine.batch import Batch, Chunk, StepTimes
from phasewise_analyzer.engine.deployment import DoesNotFitError, deploy
from phasewise_analyzer.engine.paged_cache import PagedPrefixCache
from phasewise_store.errors import EngineError, UnsupportedArmError

from phasewise_replay.engine import Answer, Request, Resolved
from phasewise_replay.plan import SimulatedArm, SimulatedOptions
from phasewise_replay.prompt_tokens import digest_ids


class SimulatedEngine:
    """An engine whose times are computed."""

    def __init__(self, arm: SimulatedArm) -> None:
        self._arm = arm
        self._options: SimulatedOptions | None = None
        self._blocks = 0
        self._cache: PagedPrefixCache | None = None
        self._times: StepTimes | None = None

    def start(self) -> Resolved:
        """Look up GPU and model; see `Lifecycle.start`."""
        options = self._arm.all_options()
        self._options = options
        try:
            engine = deploy(
                model_config.known(options.model),
                gpus.find(options.gpu),
                {"block-size": str(options.block_tokens)},
                blocks=options.kv_blocks,
            )
        except DoesNotFitError as wrong:
            raise UnsupportedArmError(str(wrong)) from wrong
        self._times = engine.times
        assert engine.blocks is not None, "a deployment on a known GPU has its KV blocks"
        self._blocks = engine.blocks
        self.reset()
        return Resolved(
            engine="simulated",
            model=options.model,
            basis="simulated",
            reads="token_ids",
            prefix_caching=options.prefix_caching,
            block_tokens=options.block_tokens,
            blocks=self._blocks,
            max_model_tokens=self._blocks * options.block_tokens,
            settings=asdict(options) | {"kv_blocks": self._blocks},
        )

    def stop(self) -> None:
        """Forget the cache."""
        self._cache = None

    def reset(self) -> None:
        """Empty the cache."""
        assert self._options is not None
        caching = self._options.prefix_caching
        size = self._options.block_tokens
        self._cache = PagedPrefixCache(self._blocks, size) if caching else None

    def send(self, request: Request) -> Answer:
        """Compute how long this request would take."""
        if self._times is None or self._options is None:
            raise EngineError("the simulator is not started")
        prompt = request.prompt_token_ids
        assert prompt is not None, "the simulator reads token ids"
        cached = 0 if self._cache is None else self._cache.lookup(prompt)
        written = digest_ids(request.request_id.encode(), request.output_tokens, 2**40) + 2**61
        if self._cache is not None:
            self._cache.admit(prompt, written)
        chunk_tokens = self._options.chunk_tokens
        prefill_s = sum(
            self._times.step_s(Batch((Chunk(min(chunk_tokens, len(prompt) - done), done),)))
            for done in range(cached, len(prompt), chunk_tokens)
        )
        context = len(prompt) + 1
        first = Batch(decodes=1, context=context, longest=context)
        decode_s = float(self._times.decode_run_s(first, request.output_tokens - 1).sum())
        prefill_ns, decode_ns = round(prefill_s * 1e9), round(decode_s * 1e9)
        return Answer(
            sent_ns=0,
            duration_ns=prefill_ns + decode_ns,
            ttft_ns=prefill_ns,
            queue_ns=0,
            prefill_ns=prefill_ns,
            decode_ns=decode_ns,
            input_tokens=len(prompt),
            cached_tokens=cached,
            output_tokens=request.output_tokens,
            output_token_ids=written.astype(np.int64),
        )
