"""Every spelling of each fact, best first: OpenTelemetry GenAI (new, old), OpenInference, vLLM.

Sources: OpenTelemetry semantic conventions for generative AI 1.30 to 1.41; OpenInference's
semantic conventions 0.1.42; vLLM 0.32 `vllm/tracing/utils.py`. The names under `phasewise.` are our
own tracer's, and what `content.py` writes when it takes text out of a span.
"""

from collections.abc import Mapping, Sequence

INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
"""everything the model read, cached included, in all of these conventions"""
CACHE_READ_TOKENS = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.cache_read_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "gen_ai.usage.details.cache_read_input_tokens",
    "gen_ai.usage.cached_tokens",
    "llm.token_count.prompt_details.cache_read",
)
CACHE_WRITE_TOKENS = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
    "gen_ai.usage.cache_write_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "llm.token_count.prompt_details.cache_write",
)
CACHE_WRITE_1H_TOKENS = (
    "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
    "gen_ai.usage.cache_creation.input_tokens.ephemeral_1h",
)
"""the part of the writes that lives an hour"""
OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
REASONING_TOKENS = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
FIRST_TOKEN_NS = ("phasewise.time_to_first_token_ns",)
FIRST_TOKEN_S = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
    "gen_ai.latency.time_to_first_token",
)
FIRST_TOKEN_EVENTS = frozenset({"First Token Stream Event", "gen_ai.content.completion.chunk"})
QUEUE_S = ("gen_ai.latency.time_in_queue",)
ENGINE_PREFILL_S = ("gen_ai.latency.time_in_model_prefill",)
ENGINE_DECODE_S = ("gen_ai.latency.time_in_model_decode",)

MODEL = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.response.model_name",
    "llm.request.model_name",
    "llm.model_name",
)
PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
SESSION = (
    "gen_ai.conversation.id",
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
    "thread.id",
)
AGENT = ("gen_ai.agent.name", "agent.name", "agent_name")
TOOL = ("gen_ai.tool.name", "tool.name", "tool_call.function.name")
FINISH_REASON = ("gen_ai.response.finish_reasons", "llm.finish_reason")
COST_USD = ("gen_ai.usage.cost", "operation.cost", "llm.cost.total")
STREAMED = ("gen_ai.is_streaming", "llm.is_streaming", "gen_ai.request.is_stream")
KIND = ("openinference.span.kind", "traceloop.span.kind", "gen_ai.operation.name")
PARAMETERS = ("llm.invocation_parameters",)
"""one JSON object; OpenTelemetry has an attribute `gen_ai.request.NAME` each"""
ESTIMATED_INPUT = ("phasewise.estimated_input_tokens",)
ESTIMATED_OUTPUT = ("phasewise.estimated_output_tokens",)

LLM_KINDS = frozenset(
    {"LLM", "CHAT", "TEXT_COMPLETION", "GENERATE_CONTENT", "COMPLETION", "MESSAGES", "RESPONSES"}
)
AGENT_KINDS = frozenset({"AGENT", "INVOKE_AGENT", "CREATE_AGENT", "WORKFLOW"})
TOOL_KINDS = frozenset({"TOOL", "EXECUTE_TOOL"})

ENGINE_SPANS = frozenset({"llm_request"})
"""vLLM's and SGLang's own span of a request; no text, child of the caller's when it propagates"""

Attributes = Mapping[str, object]
"""of a span, as it came or as the store gave it back"""


def first(attributes: Attributes, names: Sequence[str]) -> object:
    """Give the first of these attributes that is there and not empty."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return value
    return None


def text(attributes: Attributes, names: Sequence[str]) -> str | None:
    """Give a text; of a list, its first entry."""
    value = first(attributes, names)
    if isinstance(value, list):
        value = value[0] if value else None
    return None if value is None else str(value)


def whole(attributes: Attributes, names: Sequence[str]) -> int | None:
    """Give a count; some senders write numbers as text. A negative one is none."""
    value = number(attributes, names)
    return None if value is None else int(value)


def number(attributes: Attributes, names: Sequence[str]) -> float | None:
    """Give a number that is finite and not negative."""
    value = first(attributes, names)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None


def nanoseconds(attributes: Attributes, names: Sequence[str]) -> int | None:
    """Give a time that is reported in seconds."""
    seconds = number(attributes, names)
    return None if seconds is None else round(seconds * 1e9)
