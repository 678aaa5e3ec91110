"""The facts that packages exchange: written by importers and the receiver, read by the analyzer.

All are frozen. Times are nanoseconds since the Unix epoch (UTC); durations are nanoseconds;
`None` means that the source does not report it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

LIVE = "live"
"""name and id of the source that the collector writes"""

UsageOrigin = Literal["reported", "recovered", "estimated", "absent"]
"""reported by the provider; recovered from its bill; estimated from text; not known at all."""

MOST_TOOL_TEXT = 64_000
"""characters of a tool's arguments, and of its result, that are stored"""

SegmentKind = Literal["tool", "system", "message", "text", "block"]
"""tool definition, system block, message part, cut of a raw prompt, block known by hash only."""


@dataclass(frozen=True, slots=True)
class Billing:
    """What decides the price of a call beside the numbers of its text tokens."""

    service_tier: str | None = None
    """under which the provider answered: default, flex, priority, batch …"""
    speed: str | None = None
    """Anthropic's `fast` mode"""
    region: str | None = None
    """where the model had to run, if that was asked for: Anthropic's `inference_geo`"""
    input_audio_tokens: int = 0
    """of the input, cached ones included"""
    cached_audio_tokens: int = 0
    """of the tokens that were read from a cache"""
    output_audio_tokens: int = 0
    web_searches: int = 0
    """that the provider ran for the call"""
    response_cache_hit: bool = False
    """the client's own cache gave the whole answer: nothing was sent to the provider"""
    other_models: tuple["OtherModel", ...] = ()


ORDINARY = Billing()
"""nothing but its text tokens decides the price of the call"""


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one LLM call.  input_tokens = uncached + cache_read + both cache writes."""

    uncached_tokens: int = 0
    """read at the full input price"""
    cache_read_tokens: int = 0
    """served from the provider's or the engine's prefix cache"""
    cache_write_5m_tokens: int = 0
    """written to a cache that lives five minutes (or whose lifetime the source does not say)"""
    cache_write_1h_tokens: int = 0
    """written to a cache that lives one hour"""
    output_tokens: int = 0
    """written by the model, reasoning included"""
    reasoning_tokens: int = 0
    """the part of the output that the caller never sees"""
    origin: UsageOrigin = "reported"
    """where the numbers come from"""
    ambiguous: bool = False
    """whether the source leaves it open that its input counts exclude the cached tokens"""
    cache_reported: bool = True
    """whether the source says what a cache served; if not, all input stands as uncached"""
    input_tokens_high: int | None = None
    """the other reading of an ambiguous source: the largest input it can mean"""
    billing: Billing = ORDINARY
    """what else decides the price"""

    @property
    def input_tokens(self) -> int:
        """Everything the model read, cached included."""
        return (
            self.uncached_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
        )


@dataclass(frozen=True, slots=True)
class OtherModel:
    """Tokens of another model that worked inside a call, such as Anthropic's advisor.

    They are billed with the call and stand outside its own counts.
    """

    model: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Segment:
    """One tool definition, system block, message part, cut of raw text, or hashed block.

    Make one with `phasewise_store.segments`, which fills `digest` and `tokens`.
    """

    kind: SegmentKind
    digest: bytes
    """16 bytes: hash of kind, role and exact content (of scope and id, for a block)"""
    tokens: int
    """tokens in it: exact for a block, estimated for text (see `phasewise_store.tokens`)"""
    role: str | None = None
    """system, user, assistant, tool"""
    content: bytes | None = None
    """the exact UTF-8 bytes; None when only a hash is known"""


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation: one or more traces."""

    session_id: str
    name: str | None = None
    started_ns: int | None = None
    ended_ns: int | None = None
    outcome: str | None = None
    """the source's own verdict, e.g. a reward or an exit status"""


@dataclass(frozen=True, slots=True)
class Agent:
    """One running instance of a named role inside a session; its calls form one prompt stream."""

    agent_id: str
    session_id: str
    name: str
    """the role, e.g. `explore`; the agents page has one row a name"""
    parent_agent_id: str | None = None
    named: bool = True
    """False: the source gives no name, and a better one may come"""


@dataclass(frozen=True, slots=True)
class Description:
    """One span or log record that describes an LLM call; an instrumentor makes one a call."""

    trace_id: str
    span_id: str
    scope: str
    """the instrumentor and its version"""
    gave: tuple[str, ...]
    """what of the call was taken from here: usage, prompt, answer, times, phases, agent"""


Fidelity = Literal["none", "events", "flattened", "messages", "verbatim"]
"""how exact a prompt is: verbatim is the request as it was sent; the others were rebuilt"""


@dataclass(frozen=True, slots=True)
class Labels:
    """What the people who run an agent say of a call, to filter by."""

    version: str | None = None
    """of the agent program that made the call"""
    customer: str | None = None
    """whom the call was made for: a tenant, an account"""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended, as the program said it."""

    session_id: str
    outcome: str
    """e.g. `resolved`"""
    revenue_usd: float | None = None
    """what the outcome earned"""
    customer: str | None = None
    said_ns: int | None = None
    """the outcome that was said last holds"""


@dataclass(frozen=True, slots=True)
class LlmCall:
    """One request to a model and its answer."""

    call_id: str
    session_id: str
    agent_id: str
    step: int
    """place among the session's LLM calls, from 0, in the order of the source"""
    usage: Usage
    provider: str | None = None
    """as genai-prices spells it where it is known there: openai, anthropic, azure …"""
    model: str | None = None
    started_ns: int | None = None
    duration_ns: int | None = None
    """from the request's start to the last token"""
    ttft_ns: int | None = None
    """time to first token as the caller saw it"""
    queue_ns: int | None = None
    """engine's own: waiting to be scheduled"""
    engine_prefill_ns: int | None = None
    """engine's own: scheduled to first token"""
    engine_decode_ns: int | None = None
    """engine's own: first to last token"""
    prompt: tuple[Segment, ...] = ()
    """the whole prompt in the order the model reads it: tools, system, messages"""
    output: tuple[Segment, ...] = ()
    block_tokens: int | None = None
    """tokens a block, where the prompt is known as block hashes only"""
    reported_cost_usd: float | None = None
    """what the source says it cost"""
    finish_reason: str | None = None
    error: str | None = None
    streamed: bool | None = None
    trace_id: str | None = None
    span_id: str | None = None
    request: Mapping[str, object] = field(default_factory=dict)
    """sampling and other request parameters, without messages and tools"""
    user_id: str | None = None
    response_id: str | None = None
    """the provider's id of the answer"""
    fidelity: Fidelity | None = None
    """None where an importer knows the format to be exact"""
    dropped_attributes: int = 0
    """of the spans that describe it: an SDK's limit, which takes the oldest messages first"""
    truncated: bool = False
    """whether a sender has cut text short"""
    described_by: tuple[Description, ...] = ()
    """spans and log records that describe this call, and then the file that does; empty for a call
    that is known from files only"""
    labels: Labels = Labels()
    identities: tuple[str, ...] = ()
    """keys of the call itself, by `phasewise_store.identity`; the store keeps one call a key"""


SideKind = Literal["embedding", "rerank"]


@dataclass(frozen=True, slots=True)
class SideCall:
    """A paid request to a model that writes no text: it has no prompt, no phases, no replay."""

    side_call_id: str
    session_id: str
    agent_id: str
    kind: SideKind
    provider: str | None = None
    model: str | None = None
    started_ns: int | None = None
    duration_ns: int | None = None
    input_tokens: int = 0
    """0 where the source says nothing"""
    reported_cost_usd: float | None = None
    error: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool run between two LLM calls."""

    tool_call_id: str
    session_id: str
    agent_id: str
    name: str
    after_step: int | None = None
    """the LLM call (its step) that asked for it"""
    started_ns: int | None = None
    duration_ns: int | None = None
    error: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    asked_by: str | None = None
    """the id of the call that asked for it, with which its own id begins"""
    derived: bool = False
    """whether it is known from two successive prompts only: its time is all that is between them"""
    arguments: str | None = None
    """what it was called with, mostly JSON; the store cuts what is longer than `MOST_TOOL_TEXT`"""
    result: str | None = None
    """what it gave back, cut like the arguments"""


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it arrived; prompt text is taken out and stands in the segments."""

    trace_id: str
    """32 hex digits"""
    span_id: str
    """16 hex digits"""
    parent_span_id: str | None
    name: str
    kind: str
    """internal, server, client, producer, consumer, unspecified"""
    start_ns: int
    end_ns: int
    scope_name: str = ""
    scope_version: str = ""
    service_name: str = ""
    status: str = "unset"
    """unset, ok, error"""
    status_message: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)
    dropped_attributes: int = 0
    session_id: str | None = None
    agent_id: str | None = None
    response_id: str | None = None
    """what other descriptions of the same call, in other traces, have too"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where facts came from: an imported file, or the live receiver."""

    source_id: str
    """hash of a file's exact bytes, or `live`"""
    name: str
    """what `--source` takes: the data set, e.g. `mooncake`, or `live`"""
    format: str
    path: str
    """as the user gave it"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts that are written together, in one transaction."""

    source: Source
    sessions: tuple[Session, ...] = ()
    agents: tuple[Agent, ...] = ()
    llm_calls: tuple[LlmCall, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    spans: tuple[Span, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    side_calls: tuple[SideCall, ...] = ()
    numbered: bool = True
    """False: the steps are to be numbered by start, over all that the session has by then"""


@dataclass(frozen=True, slots=True)
class Written:
    """How much of a batch was new; what was there already is not counted."""

    sessions: int = 0
    grown_sessions: int = 0
    """there before, with calls that are new"""
    llm_calls: int = 0
    known_calls: int = 0
    """there before"""
    completed_calls: int = 0
    """of the known ones: those of which the batch knew more"""
    tool_calls: int = 0
    spans: int = 0
    segments: int = 0
    nodes: int = 0
