"""The provider of a model and its name there: one normaliser for the names that senders use.

`provider` may be a provider in the spelling of any SDK, a gateway, a framework (which sells
nothing), or your own engine; a model name may include a path, a region, a date or its provider.
Used by importers, prices and cache policies. Spelling follows `genai-prices`.
"""

import re
from collections.abc import Iterator
from functools import cache

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ModelInfo, Provider

SPELLINGS = {
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_ai": "azure",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "azureopenai": "azure",
    "amazon": "aws",
    "amazon-bedrock": "aws",
    "amazon_bedrock": "aws",
    "aws.bedrock": "aws",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "chatbedrock": "aws",
    "claude": "anthropic",
    "chatanthropic": "anthropic",
    "chatopenai": "openai",
    "fireworks_ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "google-vertex": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "vertex": "google",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "vertexai": "google",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "together-ai": "together",
    "together_ai": "together",
    "togetherai": "together",
    "voyage": "voyageai",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "z-ai": "zai",
}
"""sellers as OpenTelemetry, LiteLLM, LangChain and Vercel's SDK spell them, where genai-prices
would take them for another or for none (it takes every name with `openai` in it for OpenAI)"""

ROUTERS = frozenset(
    {
        *("litellm", "litellm_proxy", "strands", "strands-agents", "mastra", "langchain"),
        *("langgraph", "llama_index", "llama-index", "llamaindex", "crewai", "autogen", "ag2"),
        *("semantic_kernel", "semantic-kernel", "dspy", "haystack", "agno", "smolagents"),
        *("pydantic-ai", "pydantic_ai", "spring_ai", "spring-ai", "openai-agents", "google-adk"),
        *("claude-agent-sdk", "instructor", "portkey", "helicone", "vercel", "ai-sdk"),
        *("_other", "custom", "unknown", "other", "default", "none"),
    }
)
"""frameworks and proxies: these name no seller; the model's own name does"""

ENGINES = frozenset(
    {
        *("vllm", "hosted_vllm", "sglang", "ollama", "ollama_chat", "lmstudio", "lm_studio"),
        *("lm-studio", "llama.cpp", "llamacpp", "llama_cpp", "llamafile", "tgi", "localai"),
        *("mlx", "xinference", "text-generation-inference", "tensorrt-llm", "triton"),
    }
)
"""servers of one's own: nobody sells their tokens, whatever model they serve"""

_AT_BEDROCK = re.compile(
    r"(?:(?:us|eu|apac|jp|au|ca|sa|global|us-gov)\.)?"
    r"(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|writer)\.\S+"
)
_ARN = re.compile(r"arn:aws[\w-]*:bedrock:[^/]*:(inference-profile|foundation-model)/(.+)")
_PATH = re.compile(r"(?:projects/.*/)?(?:publishers/[^/]+/)?models/(.+)")
_REGION = re.compile(r"(?:us|eu|global|global-standard)/(.+)")
_ENDINGS = re.compile(r"(?:@[\w.-]+|\[[^\]]*\]|-latest|-\d{8}|-\d{4}-\d{2}-\d{2})$")


def seller(provider: str | None) -> str | None:
    """Return the seller that a provider's name means; None for frameworks and proxies."""
    if provider is None:
        return None
    name = provider.strip().lower()
    if name in SPELLINGS or name in ROUTERS:
        return None if name in ROUTERS else SPELLINGS[name]
    first = name.partition(".")[0]  # Vercel's SDK adds the interface: `anthropic.messages`
    if first == name or name in ENGINES:
        return name or None
    return seller(first)


def is_engine(provider: str | None) -> bool:
    """Return whether the provider is a server of one's own."""
    return provider is not None and provider.strip().lower() in ENGINES


@cache
def offers(provider: str | None, model: str) -> tuple[tuple[str | None, str], ...]:
    """Return under which seller and name the model may be listed, the likeliest first.

    A seller of None asks whose model it is by its name. Nothing is given where the tokens are sold
    by nobody, or where the name says nothing (a deployment, an application's inference profile).
    """
    if is_engine(provider):
        return ()
    found = dict.fromkeys(_offers(seller(provider), model.strip()))
    return tuple(found)


def _offers(sold_by: str | None, model: str) -> Iterator[tuple[str | None, str]]:
    if model.startswith("arn:"):
        arn = _ARN.fullmatch(model)
        if arn is not None:
            yield from _offers("aws", arn[2])
        return
    path = _PATH.fullmatch(model)
    if path is not None:
        yield from _offers(sold_by, path[1])
        return
    head, slash, rest = model.partition("/")
    named = seller(head) if slash else None
    if slash and (head.lower() in ROUTERS or is_engine(head)):
        yield from () if is_engine(head) else _offers(None, rest)
        return
    if _AT_BEDROCK.fullmatch(model):
        yield "aws", model
    if slash and sold_by is None and named is not None:
        yield from _offers(named, rest)
    yield sold_by, model
    if slash and named == sold_by is not None:
        region = _REGION.fullmatch(rest)
        yield from _offers(sold_by, region[1] if region else rest)
    plain = _ENDINGS.sub("", model)
    if plain != model and not model.startswith("ft:"):
        yield from _offers(sold_by, plain)
    if sold_by == "anthropic" and "claude" not in model.lower():
        # Claude Code speaks Anthropic's protocol with whoever serves it
        yield None, model


def listed(
    provider: str | None, model: str, snapshot: DataSnapshot | None = None
) -> tuple[Provider, ModelInfo] | None:
    """Return the list's entry of a model, of the seller likeliest to have sold it."""
    for sold_by, name in offers(provider, model):
        try:
            return (snapshot or get_snapshot()).find_provider_model(name, None, sold_by, None)
        except LookupError:
            continue
    return None


@cache
def seller_of(model: str) -> str | None:
    """Return who sells a model that stands alone, or None where nobody is known to."""
    found = listed(None, model)
    return None if found is None else found[0].id
