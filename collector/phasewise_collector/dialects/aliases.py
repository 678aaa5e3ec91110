"""The attribute names of each fact in every convention, best first.

Sources: OpenTelemetry semantic conventions for generative AI 1.30 to 1.41 and their own repository
(2026-05); OpenInference 0.1.42; Traceloop 0.62; Vercel AI SDK 7 (`ai.*`); LangSmith's and
Langfuse's OpenTelemetry export; Claude Code 2.1; Codex; Google ADK; Anthropic's SDK 2.12; vLLM 0.32
`vllm/tracing/utils.py`, SGLang. Names under `phasewise.` are written by our own tracer, and by
`content.py` when it moves text out of a span. `NAME#a.b` is the field `a.b` of the JSON object in
the attribute NAME.
"""

from collections.abc import Mapping, Sequence

FIRST_TOKEN_NS = ("phasewise.time_to_first_token_ns",)
FIRST_TOKEN_S = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
    "gen_ai.latency.time_to_first_token",
)
FIRST_TOKEN_MS = (
    "ai.response.msToFirstChunk",
    "ai.stream.msToFirstChunk",
    "ttft_ms",
    "first_content_ms",
)
FIRST_TOKEN_AT = ("langfuse.observation.completion_start_time",)
"""a moment, in ISO 8601"""
FIRST_TOKEN_EVENTS = frozenset(
    {"First Token Stream Event", "gen_ai.content.completion.chunk", "ai.stream.firstChunk"}
)
QUEUE_S = ("gen_ai.latency.time_in_queue",)
ENGINE_PREFILL_S = ("gen_ai.latency.time_in_model_prefill",)
ENGINE_DECODE_S = ("gen_ai.latency.time_in_model_decode",)

MODEL = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.response.model_name",
    "llm.request.model_name",
    "llm.model_name",
    "ai.response.model",
    "ai.model.id",
    "langfuse.observation.model.name",
    "embedding.model_name",
    "reranker.model_name",
    "mlflow.llm.model",
    "model",
    "slug",
)
PROVIDER = (
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "ai.model.provider",
    "mlflow.llm.provider",
)
RESPONSE_ID = (
    "gen_ai.response.id",
    "ai.response.id",
    "anthropic.response.id",
    "output.value#id",
    "output.value#response_id",
    "mlflow.spanOutputs#id",
    "request_id",
    "anthropic.request.id",
    "gen_ai.request.id",
)
"""what a call's descriptions have in common"""
SESSION = (
    "phasewise.session",
    "gen_ai.conversation.id",
    "session.id",
    "langfuse.session.id",
    "conversation.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
    "ai.telemetry.metadata.sessionId",
    "langsmith.trace.session_id",
    "langsmith.metadata.thread_id",
    "langsmith.metadata.session_id",
    "thread.id",
    "thread_id",
    "metadata#thread_id",
    "metadata#session_id",
    "mlflow.trace.session",
    "exgentic.session.id",
    "gcp.vertex.agent.session_id",
)
REQUEST_ID = ("request_id", "anthropic.request.id", "http.response.header.request-id")
"""what a provider calls the request"""
HTTP_STATUS = ("http.response.status_code", "http.status_code", "status_code", "error.type")
USER = (
    "mlflow.trace.user",
    "phasewise.user",
    "user.id",
    "enduser.id",
    "langfuse.user.id",
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
    "langsmith.metadata.user_id",
    "user.account_uuid",
    "user.email",
)
AGENT = (
    "gen_ai.agent.name",
    "agent.name",
    "agent_name",
    "query_source",
    "ai.telemetry.functionId",
    "crewai.agent.role",
)
AGENT_OF_RUN = ("metadata#lc_agent_name", "langsmith.metadata.lc_agent_name")
"""LangChain's, which stand at every span of an agent's run"""
TOOL = (
    "gen_ai.tool.name",
    "tool.name",
    "tool_call.function.name",
    "ai.toolCall.name",
    "tool_name",
    "function_name",
    "traceloop.entity.name",
)
NO_TOOLS = frozenset({"(merged tools)"})
"""what Google ADK calls the span that gathers parallel tools, which have spans of their own"""
FINISH_REASON = (
    "gen_ai.response.finish_reasons",
    "llm.finish_reason",
    "ai.response.finishReason",
    "stop_reason",
)
STREAMED = (
    "gen_ai.request.stream",
    "gen_ai.is_streaming",
    "llm.is_streaming",
    "gen_ai.request.is_stream",
)
KIND = (
    "openinference.span.kind",
    "langsmith.span.kind",
    "traceloop.span.kind",
    "ai.operationId",
    "gen_ai.operation.name",
    "llm.request.type",
    "span.type",
    "langfuse.observation.type",
    "mlflow.spanType",
)
PARAMETERS = ("llm.invocation_parameters", "langfuse.observation.model.parameters")
"""one JSON object; OpenTelemetry has an attribute `gen_ai.request.NAME` each"""
CONTENT = ("phasewise.content",)
"""how exact a span's prompt is: one of `FIDELITIES`"""
CACHE_MARKERS = ("phasewise.cache_markers",)
"""the breakpoints that stood in a prompt, as JSON: pairs of a segment's place and a lifetime"""
CACHE_DIAGNOSIS = ("phasewise.cache_diagnosis",)
"""what the provider says of a cache miss, as JSON: `reason` and `missed_tokens`"""
FIDELITIES = ("none", "events", "flattened", "messages", "verbatim")
TRUNCATED = (
    "phasewise.truncated",
    "logfire.truncated",
    "lmnr.truncated",
    "content_truncated",
    "langfuse.truncated",
)

LLM_KINDS = frozenset(
    {
        *("LLM", "CHAT", "TEXT_COMPLETION", "GENERATE_CONTENT", "COMPLETION", "MESSAGES"),
        *("RESPONSES", "GENERATION", "CHAT_MODEL"),
        *("LLM_REQUEST", "CLAUDE_CODE.LLM_REQUEST"),
        *("AI.GENERATETEXT.DOGENERATE", "AI.STREAMTEXT.DOSTREAM"),
        *("AI.GENERATEOBJECT.DOGENERATE", "AI.STREAMOBJECT.DOSTREAM"),
    }
)
AGENT_KINDS = frozenset(
    {
        *("AGENT", "INVOKE_AGENT", "CREATE_AGENT", "WORKFLOW", "INVOKE_WORKFLOW"),
        *("AI.GENERATETEXT", "AI.STREAMTEXT", "AI.GENERATEOBJECT", "AI.STREAMOBJECT"),
    }
)
"""Vercel's outer spans repeat the usage of the calls inside: they are agents here, never calls"""
EMBEDDING_KINDS = frozenset(
    {
        *("EMBEDDING", "EMBEDDINGS", "EMBED", "AI.EMBED", "AI.EMBEDMANY"),
        *("AI.EMBED.DOEMBED", "AI.EMBEDMANY.DOEMBED"),
    }
)
RERANK_KINDS = frozenset({"RERANKER", "RERANK", "AI.RERANK", "AI.RERANK.DORERANK"})
TOOL_KINDS = frozenset(
    {"TOOL", "EXECUTE_TOOL", "AI.TOOLCALL", "CLAUDE_CODE.TOOL", "TASK.TOOL", "MCP_TOOL"}
)
LLM_RECORDS = frozenset(
    {
        "gen_ai.client.inference.operation.details",
        *("claude_code.api_request", "api_request", "claude_code.api_error", "api_error"),
        *("gemini_cli.api_response", "gemini_cli.api_error"),
    }
)
"""log records, by event name, that describe a call"""
TOOL_RECORDS = frozenset(
    {"claude_code.tool_result", "tool_result", "codex.tool_result", "gemini_cli.tool_call"}
)
MESSAGE_RECORDS = frozenset(
    {
        *("gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message"),
        *("gen_ai.tool.message", "gen_ai.choice"),
    }
)
"""log records that carry a piece of the content of the span they name"""
CODEX_RECORD = "codex.sse_event"
CODEX_KIND = ("event.kind",)
CODEX_DONE = "response.completed"

DURATION_MS = ("duration_ms",)
"""of log records that are written when what they tell of has ended"""
ENGINE_METRICS = ("vllm:", "vllm.", "sglang:", "sglang.", "gen_ai.server.", "phasewise.")
"""how the names of metrics begin that are kept; others are counted"""

WIRE_SCOPES = frozenset(
    f"{maker}.instrumentation.{library}"
    for maker in ("openinference", "opentelemetry", "opentelemetry.instrumentation.genai")
    for library in (
        *("openai", "openai_v2", "openai.v1", "anthropic", "mistralai", "groq", "google_genai"),
        *("bedrock", "vertexai", "cohere"),
    )
) | {"com.anthropic.sdk.python", "phasewise.wire"}
"""scopes of instrumentors that stand at the provider's own SDK, or below it, where the request goes
out"""

ENGINE_SPANS = frozenset({"llm_request"})
"""vLLM's and SGLang's own span of a request; no text, child of the caller's when it propagates"""

Attributes = Mapping[str, object]
"""of a span, as it came or as the store gave it back"""


MOST = 1 << 53
"""more is no count, and no time either: 104 days in nanoseconds"""


def first(attributes: Attributes, names: Sequence[str]) -> object:
    """Return the first of these attributes that is there and not empty."""
    if attributes.keys().isdisjoint(names):  # as most are, and this is quick to say
        return None
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return value
    return None


def named_first(attributes: Attributes, names: Sequence[str]) -> str | None:
    """Return the name under which `first` finds its value."""
    found = (name for name in names if attributes.get(name) not in (None, ""))
    return next(found, None)


def text(attributes: Attributes, names: Sequence[str]) -> str | None:
    """Return a text; of a list, its first entry."""
    value = first(attributes, names)
    if isinstance(value, list):
        value = value[0] if value else None
    return None if value is None else _unquoted(str(value))


def _unquoted(value: str) -> str:
    """Take off the quotes of a text that its sender wrote as JSON, as MLflow does."""
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1] if quoted else value


def whole(attributes: Attributes, names: Sequence[str]) -> int | None:
    """Return a count; some senders write numbers as text. A negative one is none."""
    value = number(attributes, names)
    return None if value is None else int(value)


def number(attributes: Attributes, names: Sequence[str]) -> float | None:
    """Return a number that is not negative and not beyond all bounds."""
    value = first(attributes, names)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found <= MOST else None


def nanoseconds(attributes: Attributes, names: Sequence[str]) -> int | None:
    """Return a time that is reported in seconds."""
    seconds = number(attributes, names)
    return None if seconds is None or seconds * 1e9 > MOST else round(seconds * 1e9)
