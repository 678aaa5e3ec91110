"""The instrumentors that are switched on: a fixed list, frameworks first, for what is installed.

Entry points are never loaded: several packages register the same name there, and a call would be
described twice. Nothing is imported before the program imports it: a hook waits for each library.
Where a framework's span and the provider SDK's own describe one call, the collector merges them;
SDKs that trace themselves (Anthropic 2, MCP) need nothing.
"""

import importlib
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import wrapt
from openinference.instrumentation import TraceConfig
from opentelemetry.trace import TracerProvider

from phasewise import openai_client

_log = logging.getLogger("phasewise")


@dataclass(frozen=True, slots=True)
class Instrumentor:
    """One instrumented library."""

    library: str
    """the module whose import switches it on"""
    module: str
    class_name: str
    extra: str
    """`pip install 'phasewise[EXTRA]'` brings the instrumentor"""
    verbatim: bool = False
    """whether `input.value` is the request as sent: then its flattened copy need not be made"""


_OI = "openinference.instrumentation"
ALLOWED = (
    Instrumentor("langchain_core", f"{_OI}.langchain", "LangChainInstrumentor", "langgraph"),
    Instrumentor("agents", f"{_OI}.openai_agents", "OpenAIAgentsInstrumentor", "openai-agents"),
    Instrumentor("crewai", f"{_OI}.crewai", "CrewAIInstrumentor", "crewai"),
    Instrumentor("llama_index.core", f"{_OI}.llama_index", "LlamaIndexInstrumentor", "llama-index"),
    Instrumentor("smolagents", f"{_OI}.smolagents", "SmolagentsInstrumentor", "smolagents"),
    Instrumentor("google.adk", f"{_OI}.google_adk", "GoogleADKInstrumentor", "google-adk"),
    Instrumentor(
        "claude_agent_sdk",
        f"{_OI}.claude_agent_sdk",
        "ClaudeAgentSDKInstrumentor",
        "claude-agent-sdk",
    ),
    Instrumentor("litellm", f"{_OI}.litellm", "LiteLLMInstrumentor", "litellm"),
    Instrumentor("openai", f"{_OI}.openai", "OpenAIInstrumentor", "openai", verbatim=True),
    Instrumentor(
        "anthropic", f"{_OI}.anthropic", "AnthropicInstrumentor", "anthropic", verbatim=True
    ),
)
"""frameworks, then what several of them call, then providers"""


def switch_on(provider: TracerProvider, *, content: bool, include_usage: bool) -> None:
    """Instrument what is installed, each when the program imports it."""
    for one in ALLOWED:
        if _installed(one.library):
            _when_imported(one.library, _switching_on(one, provider, content=content))
    if _installed("pydantic_ai"):
        _when_imported("pydantic_ai", lambda module: _pydantic_ai(module, provider))
    if _installed("openai"):
        _when_imported(
            "openai._base_client",
            lambda module: openai_client.adapt(module.BaseClient, include_usage=include_usage),
        )


def installed() -> list[tuple[Instrumentor, bool]]:
    """Give the libraries that are here, and whether each one's instrumentor is, too."""
    return [(one, _installed(one.module)) for one in ALLOWED if _installed(one.library)]


def _switching_on(
    one: Instrumentor, provider: TracerProvider, *, content: bool
) -> Callable[[ModuleType], None]:
    def switch(module: ModuleType) -> None:
        del module
        if not _installed(one.module):
            _log.warning(
                "%s is not traced: install its instrumentor with  pip install 'phasewise[%s]'",
                one.library,
                one.extra,
            )
            return
        instrumentor = getattr(importlib.import_module(one.module), one.class_name)()
        if instrumentor.is_instrumented_by_opentelemetry:
            return
        options: dict[str, Any] = {"tracer_provider": provider}
        if one.verbatim and content:
            options["config"] = TraceConfig(hide_input_messages=True, hide_llm_tools=True)
        instrumentor.instrument(**options)

    return switch


def _pydantic_ai(module: ModuleType, provider: TracerProvider) -> None:
    """Switch Pydantic AI's own tracing on, for all agents."""
    settings = module.InstrumentationSettings(tracer_provider=provider, include_content=True)
    module.Agent.instrument_all(settings)


def _when_imported(name: str, hook: Callable[[ModuleType], None]) -> None:
    """Run the hook once the module is imported: now, if it is; whatever fails is logged."""

    def guarded(module: ModuleType) -> None:
        try:
            hook(module)
        except Exception:  # a tracer must never stop the program it watches
            _log.exception("%s could not be instrumented", name)

    wrapt.register_post_import_hook(guarded, name)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # a package above it is missing, or is half imported
        return False
