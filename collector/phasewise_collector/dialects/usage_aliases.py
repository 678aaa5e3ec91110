"""The attribute names of usage and price facts in every convention, best first.

`NAME#a.b` is the field `a.b` of the JSON object in the attribute NAME. Conventions and sources as
in `aliases`, plus Sentry's SDK, MLflow 3, Gemini CLI and LiteLLM.
"""

_USAGE = ("gen_ai.usage.", "llm.usage.")
_LANGFUSE = "langfuse.observation.usage_details#"


def _under(prefixes: tuple[str, ...], *names: str) -> tuple[str, ...]:
    return tuple(prefix + name for prefix in prefixes for name in names)


INPUT_TOKENS = (
    *_under(_USAGE, "input_tokens", "prompt_tokens"),
    "llm.token_count.prompt",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
    _LANGFUSE + "input",
    "codex.turn.token_usage.input_tokens",
    "input_token_count",
)
"""everything the model read; whether cached tokens are included, `usage.py` knows by the sender"""
OUTSIDE = frozenset({_LANGFUSE + "input"})
"""spellings of the input that do not count cached tokens, unless the total says so"""
INPUT_WITHOUT_CACHE = ("input_tokens",)
"""what was neither read from a cache nor written to one: Claude Code"""
CACHE_READ_TOKENS = (
    *_under(
        _USAGE,
        *("cache_read.input_tokens", "cache_read_input_tokens", "cache_read_tokens"),
        *("details.cache_read_tokens", "details.cache_read_input_tokens", "details.cached_tokens"),
        *("cached_tokens", "input_cached_tokens", "cached_input_tokens", "input_tokens.cached"),
        *("input_tokens.cache_read", "prompt_tokens_details.cached_tokens"),
        *("input_tokens_details.cached_tokens", "input_token_details.cache_read"),
        *("prompt_cache_hit_tokens", "cached_content_token_count"),
    ),
    *_under(("llm.token_count.prompt_details.",), "cache_read", "cache_input", "cached"),
    "ai.usage.cachedInputTokens",
    "ai.usage.inputTokenDetails.cacheReadTokens",
    "ai.response.providerMetadata#openai.cachedPromptTokens",
    "ai.response.providerMetadata#anthropic.usage.cache_read_input_tokens",
    "ai.response.providerMetadata#anthropic.cacheReadInputTokens",
    "ai.response.providerMetadata#bedrock.usage.cacheReadInputTokens",
    *_under(
        (_LANGFUSE,),
        *("input_cache_read", "input_cached_tokens", "cache_read_input_tokens"),
        *("prompt_details.cache_read", "cached_input_tokens", "cached_tokens"),
    ),
    "gcp.vertex.agent.llm_response#usage_metadata.cached_content_token_count",
    "codex.turn.token_usage.cached_input_tokens",
    "cache_read_tokens",
    "cached_token_count",
    "cached_content_token_count",
)
CACHE_WRITE_TOKENS = (
    *_under(
        _USAGE,
        *("cache_write.input_tokens", "cache_creation.input_tokens"),
        *("cache_creation_input_tokens", "cache_write_input_tokens", "cache_write_tokens"),
        *("details.cache_write_tokens", "details.cache_creation_input_tokens"),
        *("input_tokens.cache_write", "input_tokens.cache_creation", "cache_creation_tokens"),
        *("prompt_tokens_details.cache_write_tokens", "input_token_details.cache_creation"),
    ),
    *_under(("llm.token_count.prompt_details.",), "cache_write", "cache_creation"),
    "ai.usage.inputTokenDetails.cacheWriteTokens",
    "ai.response.providerMetadata#anthropic.cacheCreationInputTokens",
    "ai.response.providerMetadata#bedrock.usage.cacheWriteInputTokens",
    *_under((_LANGFUSE,), "input_cache_creation", "cache_creation_input_tokens"),
    "codex.turn.token_usage.cache_write_input_tokens",
    "cache_creation_tokens",
)
CACHE_WRITE_5M_TOKENS = (
    "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
    "gen_ai.usage.cache_creation.input_tokens.ephemeral_5m",
    "output.value#usage.cache_creation.ephemeral_5m_input_tokens",
    _LANGFUSE + "input_cache_creation_5m",
    "cache_creation_5m_tokens",
)
CACHE_WRITE_1H_TOKENS = (
    "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
    "gen_ai.usage.cache_creation.input_tokens.ephemeral_1h",
    "output.value#usage.cache_creation.ephemeral_1h_input_tokens",
    _LANGFUSE + "input_cache_creation_1h",
    "cache_creation_1h_tokens",
)
"""the part of the writes that lives an hour"""
OUTPUT_TOKENS = (
    *_under(_USAGE, "output_tokens", "completion_tokens"),
    "llm.token_count.completion",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
    _LANGFUSE + "output",
    "codex.turn.token_usage.output_tokens",
    "output_tokens",
    "output_token_count",
)
REASONING_TOKENS = (
    *_under(
        _USAGE,
        *("reasoning.output_tokens", "reasoning_tokens", "details.reasoning_tokens"),
        *("output_tokens.reasoning", "reasoning_output_tokens", "thoughts_token_count"),
        *("completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens"),
        *("output_token_details.reasoning", "output_reasoning_tokens"),
    ),
    "llm.token_count.completion_details.reasoning",
    "ai.usage.reasoningTokens",
    "ai.usage.outputTokenDetails.reasoningTokens",
    *_under(
        (_LANGFUSE,),
        *("completion_details.reasoning", "output_reasoning", "output_reasoning_tokens"),
    ),
    "codex.turn.token_usage.reasoning_output_tokens",
    "reasoning_token_count",
    "thoughts_token_count",
)
TOTAL_TOKENS = (
    *_under(_USAGE, "total_tokens"),
    "llm.token_count.total",
    _LANGFUSE + "total",
    "total_token_count",
)
"""input and output together, as the source counts them"""
TOTAL_OF_AI_SDK = ("ai.usage.totalTokens", "ai.usage.tokens")
INPUT_AUDIO_TOKENS = (
    "llm.token_count.prompt_details.audio",
    *_under(
        _USAGE,
        *("input_audio_tokens", "input_tokens.audio", "audio.input_tokens"),
        *("prompt_tokens_details.audio_tokens", "input_tokens_details.audio_tokens"),
        *("details.input_audio_tokens", "input_token_details.audio"),
    ),
)
CACHED_AUDIO_TOKENS = (
    "llm.token_count.prompt_details.cache_read_audio",
    *_under(_USAGE, "cached_audio_tokens", "details.cache_audio_read_tokens"),
)
OUTPUT_AUDIO_TOKENS = (
    "llm.token_count.completion_details.audio",
    *_under(
        _USAGE,
        *("output_audio_tokens", "output_tokens.audio", "audio.output_tokens"),
        *("completion_tokens_details.audio_tokens", "output_tokens_details.audio_tokens"),
        *("details.output_audio_tokens", "output_token_details.audio"),
    ),
)
WEB_SEARCHES = (
    "gen_ai.usage.server_tool_use.web_search_requests",
    "anthropic.usage.server_tool_use.web_search_requests",
    "gen_ai.usage.web_search_requests",
    "gen_ai.usage.details.web_search_requests",
)
SERVICE_TIER = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
    "gen_ai.usage.service_tier",
    "anthropic.usage.service_tier",
    "anthropic.response.service_tier",
    "llm.response.service_tier",
    "output.value#service_tier",
)
"""of the answer: what was asked for may not have been granted"""
ASKED_SERVICE_TIER = (
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
    "gen_ai.request.service_tier",
)
SPEED = ("anthropic.usage.speed", "gen_ai.usage.speed", "speed")
REGION = ("anthropic.usage.inference_geo", "gen_ai.usage.inference_geo")
RESPONSE_CACHE_HIT = (
    *("llm.cache_hit", "metadata.cache_hit", "litellm.cache_hit", "gen_ai.cache_hit"),
    *("gen_ai.response.cache_hit", "metadata#cache_hit", "llm.response.cached"),
    *("litellm.response.cache_hit", "hidden_params.cache_hit", "metadata#hidden_params.cache_hit"),
)
"""an answer out of the client's own cache"""
COST_USD = (
    *_under(_USAGE, "cost", "total_cost", "cost_usd"),
    "operation.cost",
    "llm.cost.total",
    "gen_ai.cost.total_cost",
    "litellm.cost.total",
    "litellm.response_cost",
    "llm.response_cost",
    "gen_ai.response.cost",
    "metadata#response_cost",
    "langfuse.observation.cost_details#total",
    "mlflow.llm.cost#total_cost",
    "cost_usd",
)
ESTIMATED_INPUT = ("phasewise.estimated_input_tokens",)
ESTIMATED_OUTPUT = ("phasewise.estimated_output_tokens",)

PROVIDERS_OWN = (
    "ai.response.providerMetadata#anthropic.usage",
    "ai.response.providerMetadata#bedrock.usage",
)
"""the provider's own usage object, beside numbers that the SDK made of it"""
WHOLE_USAGE = (
    "phasewise.usage",
    "mlflow.chat.tokenUsage",
    "output.value#usage",
    "mlflow.spanOutputs#usage",
    "gcp.vertex.agent.llm_response#usage_metadata",
)
"""a usage object as one attribute"""
