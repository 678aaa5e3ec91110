"""One model under the names that SDKs, gateways and clouds give it."""

import pytest
from phasewise_collector.usage.sellers import is_engine, offers, seller, seller_of

NAMES = [
    ("strands-agents", "us.anthropic.claude-x-v1:0", ("aws", "us.anthropic.claude-x-v1:0")),
    ("anthropic", "us.anthropic.claude-x-v1:0", ("aws", "us.anthropic.claude-x-v1:0")),
    ("aws.bedrock", "bedrock/anthropic.claude-x", ("aws", "bedrock/anthropic.claude-x")),
    ("langchain", "gpt-5", (None, "gpt-5")),
    ("litellm", "openai/gpt-4o", ("openai", "gpt-4o")),
    ("gcp.gemini", "models/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
    ("vertex_ai", "publishers/google/models/gemini-x", ("google", "gemini-x")),
    ("google.generative-ai", "gemini-x", ("google", "gemini-x")),
    ("openai.responses", "gpt-5", ("openai", "gpt-5")),
    ("AzureOpenAI", "gpt-4.1", ("azure", "gpt-4.1")),
]


@pytest.mark.parametrize(("provider", "model", "expected"), NAMES)
def test_the_first_offer_is_the_likeliest(
    provider: str, model: str, expected: tuple[str | None, str]
) -> None:
    """The seller that a name means, and the model as that seller lists it."""
    assert offers(provider, model)[0] == expected


@pytest.mark.parametrize(
    ("provider", "model", "among"),
    [
        ("azure", "azure/eu/gpt-4o-2024-08-06", ("azure", "gpt-4o")),
        ("openrouter", "openrouter/anthropic/claude-x", ("openrouter", "anthropic/claude-x")),
        ("anthropic", "deepseek-chat", (None, "deepseek-chat")),
        ("vertex_ai", "claude-x@20250929", ("google", "claude-x")),
        ("anthropic", "claude-x[1m]", ("anthropic", "claude-x")),
        ("bedrock", "bedrock/global.anthropic.x-v1:0", ("aws", "global.anthropic.x-v1:0")),
    ],
)
def test_paths_dates_and_marks_are_taken_off(
    provider: str, model: str, among: tuple[str | None, str]
) -> None:
    """What a gateway or a client added to the name is tried without it."""
    assert among in offers(provider, model)


def test_what_nobody_sells_has_no_offer() -> None:
    """An engine of one's own, and a name that only its account knows."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/s529qz7ddy06"
    assert is_engine("vllm")
    assert not offers("ollama", "deepseek-r1:14b")
    assert not offers("aws.bedrock", arn)
    assert seller_of("Qwen/Qwen3-8B") is None
    assert (seller("mastra"), seller("xai"), seller_of("gpt-5")) == (None, "x-ai", "openai")
