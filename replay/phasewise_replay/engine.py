"""The seam between the replay and whatever serves a model: requests in, measured answers out.

`VllmEngine`, `UrlEngine` and `SimulatedEngine` stand behind it; tests use `FakeEngine`.
The driver calls `start`, then per block `reset` and many `send`, and at the end always `stop`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from phasewise_store.runs import Basis

TokenIds = npt.NDArray[np.int64]
"""[tokens] a prompt or an output as the model's token numbers"""

PrefixCacheKind = Literal["paged", "radix"]
"""vLLM's blocks or SGLang's tree; see `prefix_cache` and `radix_cache`"""

Reads = Literal["text", "token_ids"]
"""what an engine wants a recorded text as: the text itself, or token ids made up for it"""


@dataclass(frozen=True, slots=True)
class Request:
    """One recorded call to be sent again; exactly one of messages, prompt, prompt_token_ids."""

    request_id: str
    session_id: str
    call_id: str
    step: int
    output_tokens: int
    """the engine must write exactly so many, at least one"""
    messages: tuple[bytes, ...] = ()
    """chat: the JSON of each message, as recorded"""
    tools: tuple[bytes, ...] = ()
    """chat: the JSON of each tool definition, as recorded"""
    prompt: str | None = None
    """a raw prompt, as recorded"""
    prompt_token_ids: TokenIds | None = None
    """for the simulator, and for traces that carry block hashes and no text"""
    cache_salt: str | None = None
    """keeps the prefix cache of one block apart where the engine cannot be reset"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and when; `None` where the engine does not say."""

    sent_ns: int
    """since the Unix epoch"""
    duration_ns: int
    """client: sent to last byte"""
    ttft_ns: int | None = None
    """client: sent to first content"""
    queue_ns: int | None = None
    """engine's own: arrived to scheduled"""
    prefill_ns: int | None = None
    """engine's own: scheduled to first token"""
    decode_ns: int | None = None
    """engine's own: first to last token"""
    input_tokens: int | None = None
    cached_tokens: int | None = None
    """of the input, those served from the prefix cache"""
    output_tokens: int | None = None
    prompt_token_ids: TokenIds | None = None
    output_token_ids: TokenIds | None = None
    error: str | None = None
    """why there is no answer; the other fields are then what was known until then"""


@dataclass(frozen=True, slots=True)
class Resolved:
    """An engine's configuration as it reports itself once it runs."""

    engine: str
    """vllm, url, simulated"""
    model: str
    basis: Basis
    """whether its times are measured or simulated"""
    reads: Reads = "text"
    version: str | None = None
    prefix_caching: bool | None = None
    prefix_cache: PrefixCacheKind | None = "paged"
    """by which rules it keeps prompts; None where they are not known"""
    block_tokens: int | None = None
    """tokens a KV block; SGLang calls it a page"""
    blocks: int | None = None
    """KV blocks that can hold a prompt: vLLM's null block is not counted; None is unbounded"""
    chunk_tokens: int | None = None
    """most prompt tokens in one engine step, where the radix cache must know; None is no limit"""
    overlapped: bool = True
    """SGLang prepares a step before it has read the one before it"""
    max_model_tokens: int | None = None
    """prompt and output together; None is no limit"""
    vocabulary_tokens: int | None = None
    resets: Literal["reset", "salt", "none"] = "reset"
    """how a block gets a cold cache"""
    settings: Mapping[str, object] = field(default_factory=dict)
    """every setting by its dotted name; what two arms differ in is read off here"""


class Lifecycle(Protocol):
    """How an engine comes and goes."""

    def start(self) -> Resolved:
        """Bring it up and say what it is.

        Raises UnsupportedArmError, with the engine's own reason, where it cannot run here.
        """
        ...

    def stop(self) -> None:
        """Leave nothing behind; may be called twice, and before `start`."""
        ...


class Serving(Protocol):
    """What a started engine does."""

    def reset(self) -> None:
        """Drop everything in the prefix cache."""
        ...

    def send(self, request: Request) -> Answer:
        """Serve one request to its end; a failure of this request is an answer with `error`."""
        ...


class Engine(Lifecycle, Serving, Protocol):
    """Something that serves a model."""


@runtime_checkable
class Tokenizing(Protocol):
    """An engine that can say beforehand what a request's prompt is in token ids."""

    def token_ids(self, request: Request) -> TokenIds | None:
        """Give the exact prompt the model will read; None where this server cannot say."""
        ...


@runtime_checkable
class Counting(Protocol):
    """An engine that keeps a count of its own beside what its answers say."""

    def cached_tokens(self) -> int | None:
        """Give the tokens served from its prefix cache since it started; None: no such count."""
        ...


@contextmanager
def started(engine: Engine) -> Iterator[Resolved]:
    """Run an engine for the length of a block of code, whatever happens in it."""
    try:
        yield engine.start()
    finally:
        engine.stop()
