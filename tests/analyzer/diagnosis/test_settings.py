"""Settings that are in a cache's key are named; those that only steer the answer never are."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.diagnosis.settings import settings_changed

BASE: Mapping[str, object] = {"temperature": 0.2, "max_tokens": 100, "stream": True}


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ({"reasoning_effort": "low"}, {"reasoning_effort": "high"}, causes.THINKING_CHANGED),
        (
            {"reasoning": {"effort": "low"}},
            {"reasoning": {"effort": "high"}},
            causes.THINKING_CHANGED,
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            {"thinking": {"type": "enabled", "budget_tokens": 9000}},
            causes.THINKING_CHANGED,
        ),
        ({}, {"thinking": {"type": "adaptive"}}, causes.THINKING_CHANGED),
        (
            {"output_config": {"effort": "low"}},
            {"output_config": {"effort": "max"}},
            causes.THINKING_CHANGED,
        ),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 512}}},
            causes.THINKING_CHANGED,
        ),
        (
            {"extra_body": {"chat_template_kwargs": {"enable_thinking": True}}},
            {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}},
            causes.THINKING_CHANGED,
        ),
        ({}, {"tool_choice": "required"}, causes.TOOL_CHOICE),
        ({}, {"parallel_tool_calls": False}, causes.TOOL_CHOICE),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
            {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
            causes.TOOL_CHOICE,
        ),
        ({"service_tier": "flex"}, {"service_tier": "priority"}, causes.SERVICE_TIER),
        ({}, {"speed": "fast"}, causes.SERVICE_TIER),
        ({}, {"response_format": {"type": "json_object"}}, causes.RESPONSE_FORMAT),
        (
            {"text": {"format": {"type": "json_schema", "name": "a"}}},
            {"text": {"format": {"type": "json_schema", "name": "b"}}},
            causes.RESPONSE_FORMAT,
        ),
        (
            {"config": {"response_schema": {"type": "OBJECT"}}},
            {"config": {"response_schema": {"type": "ARRAY"}}},
            causes.RESPONSE_FORMAT,
        ),
        ({"betas": ["a"]}, {"betas": ["a", "b"]}, causes.BETA_HEADERS),
        (
            {"extra_headers": {"anthropic-beta": "a"}},
            {"extra_headers": {"anthropic-beta": "a,b"}},
            causes.BETA_HEADERS,
        ),
        ({"prompt_cache_key": "one"}, {"prompt_cache_key": "two"}, causes.CACHE_KEY),
    ],
)
def test_a_setting_of_the_key_is_named(
    old: Mapping[str, object], new: Mapping[str, object], cause: Cause
) -> None:
    """Wherever the API writes it, with the sampling changed beside it."""
    assert settings_changed({**BASE, **old}, {**BASE, **new, "temperature": 1}, "m", "m") is cause
    assert settings_changed({**BASE, **old}, {**old, "seed": 4}, "m", "m") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"tool_choice": "auto"}),
        ({}, {"tool_choice": {"type": "auto"}}),
        ({}, {"thinking": {"type": "disabled"}}),
        ({}, {"parallel_tool_calls": True}),
        ({}, {"response_format": {"type": "text"}}),
        ({}, {"service_tier": "auto"}),
        ({"betas": ["b", "a"]}, {"extra_headers": None, "betas": "a, b"}),
        ({}, {"prompt_cache_key": None, "cache_markers": [[0, "5m"]]}),
    ],
)
def test_a_default_that_is_written_is_no_change(
    old: Mapping[str, object], new: Mapping[str, object]
) -> None:
    """What is said where nothing need be said, and another order of features."""
    assert settings_changed({**BASE, **old}, {**BASE, **new}, "m", "m") is None


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("gpt-4o", "gpt-4o-mini", causes.MODEL),
        ("claude-opus-4-5", "claude-sonnet-4-5", causes.MODEL),
        ("gpt-4o", "gpt-4o-2024-11-20", None),
        ("openai/gpt-4o", "GPT-4o", None),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5", None),
        (None, "gpt-4o", None),
    ],
)
def test_another_model_is_named_and_another_name_of_one_is_not(
    old: str | None, new: str | None, cause: Cause | None
) -> None:
    """A date behind a name and a provider before it are the same model."""
    assert settings_changed(BASE, BASE, old, new) is cause


SAMPLING = (
    *("temperature", "top_p", "top_k", "max_tokens", "max_output_tokens", "stop", "stop_sequences"),
    *("seed", "stream", "stream_options", "user", "metadata", "n", "logprobs", "frequency_penalty"),
    *("maxOutputTokens", "topP", "store", "safety_identifier"),
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(SAMPLING), st.one_of(st.integers(), st.text(), st.none())),
    st.dictionaries(st.sampled_from(SAMPLING), st.one_of(st.floats(), st.booleans(), st.none())),
)
def test_sampling_never_changes_a_verdict(old: dict[str, object], new: dict[str, object]) -> None:
    """Whatever stands in these fields, on the top or in Google's configuration."""
    assert settings_changed(old, new, "m", "m") is None
    assert settings_changed({"generationConfig": old}, {"generationConfig": new}, "m", "m") is None
