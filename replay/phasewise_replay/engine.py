"""The interface between the replay and an engine: requests in, measured answers out.

`VllmEngine`, `UrlEngine` and `SimulatedEngine` implement it; tests use `FakeEngine`.
A run calls `start`, then `reset` once per block and `send` for its canary, and always `stop`. The
calls of a block go through a channel (`Asynchronous`), or are submitted in virtual time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_analyzer.engine.step_times import batch
from phasewise_store.run_facts import Basis

PrefixCacheKind = Literal["paged", "radix"]
"""vLLM's blocks or SGLang's tree; see `paged_cache` and `radix_cache` of the analyzer"""

Reads = Literal["text", "token_ids"]
"""how an engine takes a recorded text: as text, or as token ids generated from it"""

Endpoint = Literal["chat", "completions", "messages", "responses", "generate"]
"""where a chat is sent: OpenAI's chat completions; its completions, as token ids; Anthropic's
messages; OpenAI's Responses; vLLM's token-in token-out endpoint, which takes any prompt as ids"""


@dataclass(frozen=True, slots=True)
class Request:
    """One recorded call to send again; exactly one of messages, prompt, prompt_token_ids is set."""

    request_id: str
    session_id: str
    call_id: str
    step: int
    output_tokens: int
    """the engine must generate exactly this many, at least one"""
    free: bool = False
    """it may stop earlier, and what it writes is kept"""
    endpoint: Endpoint = "chat"
    """of a chat, whose messages, tools and system prompt are in its form"""
    warm: bool = False
    """it fills the cache before a session, and is not measured"""
    messages: tuple[bytes, ...] = ()
    """chat: the JSON of each message, as recorded"""
    system: bytes | None = None
    """chat: the JSON of the system prompt, where the endpoint does not take it as a message"""
    tools: tuple[bytes, ...] = ()
    """chat: the JSON of each tool definition, as recorded"""
    prompt: str | None = None
    """a raw prompt, as recorded"""
    prompt_token_ids: TokenIds | None = None
    """for the simulator, and for traces that carry block hashes and no text"""
    forced_ids: TokenIds | None = None
    """the tokens to generate, `output_tokens` of them; None forces their number only"""
    cache_salt: str | None = None
    """keeps the prefix cache of one block apart where the engine cannot be reset"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A measured answer; fields are None when the engine does not report them."""

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
    prefill_gpu_s: float | None = None
    """simulated: the call's part of the engine's steps, times the GPUs that run them"""
    decode_gpu_s: float | None = None
    preemptions: int | None = None
    """simulated: how often the call lost its KV blocks"""
    input_tokens: int | None = None
    cached_tokens: int | None = None
    """of the input, those served from the prefix cache"""
    output_tokens: int | None = None
    prompt_token_ids: TokenIds | None = None
    output_token_ids: TokenIds | None = None
    output: str | None = None
    """of a free request, as `MeasuredCall.output`"""
    response_id: str | None = None
    """the engine's name for the call"""
    error: str | None = None
    """why the call failed; the other fields then hold what was known at that point"""


@dataclass(frozen=True, slots=True)
class Received:
    """A response that has ended and is not read yet; times of `time.perf_counter_ns`."""

    begin_ns: int
    """when the request was sent"""
    end_ns: int
    answer: Callable[[], Answer]
    """reads it, which takes milliseconds; raises EngineError when the engine has died"""


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
    """the rules of its prefix cache; None when they are not known"""
    block_tokens: int | None = None
    """tokens per KV block; SGLang calls it a page"""
    blocks: int | None = None
    """KV blocks that can hold a prompt: vLLM's null block is not counted; None is unbounded"""
    chunk_tokens: int | None = None
    """most prompt tokens in one engine step, where the radix cache must know; None is no limit"""
    overlapped: bool = True
    """whether SGLang prepares a step before it has read the result of the previous one"""
    max_model_tokens: int | None = None
    """prompt and output together; None is no limit"""
    vocabulary_tokens: int | None = None
    resets: Literal["reset", "salt", "none"] = "reset"
    """how a block gets a cold cache"""
    settings: Mapping[str, object] = field(default_factory=dict)
    """every setting by its dotted name; used to find what two arms differ in"""
    step_times: batch.Basis | None = None
    """where the step times of a simulated engine come from"""


class Lifecycle(Protocol):
    """Starting and stopping an engine."""

    def start(self) -> Resolved:
        """Start the engine and describe it.

        Raises UnsupportedArmError, with the engine's own reason, when it cannot run here.
        """
        ...

    def stop(self) -> None:
        """Stop it and clean up; may be called twice, and before `start`."""
        ...


class Serving(Protocol):
    """What a started engine does."""

    def reset(self) -> None:
        """Drop everything in the prefix cache."""
        ...

    def send(self, request: Request) -> Answer:
        """Serve one request; a request that fails gives an answer with `error`."""
        ...


class Engine(Lifecycle, Serving, Protocol):
    """Something that serves a model."""


@runtime_checkable
class VirtualTime(Protocol):
    """An engine that computes when requests would be answered: any number is in flight."""

    @property
    def now_ns(self) -> int:
        """Its clock, since the last reset."""
        ...

    def submit(self, request: Request, at_ns: int) -> None:
        """Send a request at a time: in order of time, and not before `run` got there."""
        ...

    def run(self, until_ns: int | None = None) -> Sequence[tuple[Request, Answer]]:
        """Serve until requests are answered; `sent_ns` of an answer is a time of this clock.

        Returns nothing once the clock has reached `until_ns`, where the next request is due, or
        when nothing is left to serve.
        """
        ...


class Channel(Protocol):
    """Carries the requests of one block, all in one event loop."""

    async def open(self, connections: int) -> None:
        """Get ready for so many requests at once."""
        ...

    async def send(self, request: Request) -> Received:
        """Send a request and wait until its response has ended."""
        ...

    def close(self) -> None:
        """Give up the connections."""
        ...


@runtime_checkable
class Asynchronous(Protocol):
    """An engine that serves in real time."""

    def channel(self) -> Channel:
        """Return a channel that is not open yet."""
        ...


@runtime_checkable
class Tokenizing(Protocol):
    """An engine that can give the token ids of a prompt before the request is sent."""

    def token_ids(self, request: Request) -> TokenIds | None:
        """Return the exact prompt the model will read; None when the server cannot tell."""
        ...


@runtime_checkable
class HasEndpoints(Protocol):
    """An engine with several endpoints for chats."""

    def cannot_send(self, endpoint: Endpoint, *, forced: bool) -> str | None:
        """Return why chats cannot go to an endpoint, `forced` to a length; None where they can."""
        ...


class TokenForcing(Protocol):
    """How an engine is made to generate given tokens (`Request.forced_ids`)."""

    def refusal(self) -> str | None:
        """Return why it does not generate them, in its own words; None where it does."""
        ...

    def answer_ids(
        self, request: Request, prompt: TokenIds, answer: Sequence[bytes]
    ) -> TokenIds | None:
        """Return the tokens that the model would write an answer with.

        `prompt` is the request in token ids; `answer` is the JSON of the messages that follow a
        chat, or the text that follows a raw prompt. None where the server cannot tell.
        """
        ...


@runtime_checkable
class ForcesTokens(Protocol):
    """An engine that may be able to generate given tokens."""

    def token_forcing(self) -> TokenForcing:
        """Return how; the engine is started."""
        ...


@runtime_checkable
class Counting(Protocol):
    """An engine with a counter of its own besides what its responses report."""

    def cached_tokens(self) -> int | None:
        """Return the cached tokens served since it started; None without such a counter."""
        ...


@dataclass(frozen=True, slots=True)
class PhaseSeconds:
    """The time that an engine's steps took, by phase; of data-parallel ranks the mean."""

    prefill_s: float
    decode_s: float
    prefill_band_s: tuple[float, float] | None = None
    """by the two marginals of mixed steps; None where no step mixes the phases"""
    steps: int | None = None
    """how many there were, where each is known; as the two below"""
    mixed: int | None = None
    calls: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """prefill and decode of each call, by the id of its response"""
    own_s: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """how long each call was in either phase by the engine's clock, by the same id; as the response
    says it on the endpoints that do"""


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """An engine's steps were not measured."""

    reason: str


@runtime_checkable
class Stepping(Protocol):
    """An engine that measures its own steps."""

    def watch_steps(self) -> None:
        """Measure from now on; no request is in flight."""
        ...

    def watched_steps(self) -> PhaseSeconds | Unmeasured:
        """Return the time of all steps since `watch_steps`, or why it is not known."""
        ...


@dataclass(frozen=True, slots=True)
class DraftCounts:
    """How drafts did during a block."""

    drafts: int
    """steps of sequences that had one"""
    drafted: int
    """tokens"""
    accepted: int
    """of these"""


@dataclass(frozen=True, slots=True)
class Load:
    """How full an engine was during a block; None is what it does not report."""

    preemptions: int | None
    kv_use_mean: float | None
    """share of the KV cache that running requests hold"""
    kv_use_peak: float | None
    samples: int
    drafts: DraftCounts | None = None


@runtime_checkable
class Loaded(Protocol):
    """An engine that says how full it is."""

    def watch_load(self) -> None:
        """Look from now on."""
        ...

    def watched_load(self) -> Load | None:
        """Stop looking; None where it reports nothing."""
        ...


@contextmanager
def started(engine: Engine) -> Iterator[Resolved]:
    """Start an engine and stop it when the `with` block ends."""
    try:
        yield engine.start()
    finally:
        engine.stop()
