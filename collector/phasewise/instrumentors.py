"""The instrumentors that are enabled: a fixed list, limited to what is installed.

They report agents, tools and sessions. The calls themselves are captured in the HTTP client, so no
instrumentor of a provider's SDK is needed, and the spans of frameworks need not repeat the text.
Entry points are never loaded: several packages register the same name there, and calls would be
described twice. An import hook waits until the program imports a library.
"""

import importlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from opentelemetry.trace import TracerProvider

from phasewise import claude_agent_sdk, openai_client
from phasewise.imports import installed, when_imported
from phasewise.wire.worker import Worker


@dataclass(frozen=True, slots=True)
class Instrumentor:
    """One instrumented library."""

    library: str
    """the module whose import switches it on"""
    module: str
    class_name: str
    extra: str
    """`pip install 'phasewise[EXTRA]'` brings the instrumentor"""


_OI = "openinference.instrumentation"
ALLOWED = (
    Instrumentor("langchain_core", f"{_OI}.langchain", "LangChainInstrumentor", "langgraph"),
    Instrumentor("agents", f"{_OI}.openai_agents", "OpenAIAgentsInstrumentor", "openai-agents"),
    Instrumentor("crewai", f"{_OI}.crewai", "CrewAIInstrumentor", "crewai"),
    Instrumentor("llama_index.core", f"{_OI}.llama_index", "LlamaIndexInstrumentor", "llama-index"),
    Instrumentor("smolagents", f"{_OI}.smolagents", "SmolagentsInstrumentor", "smolagents"),
)
_TEXT = (
    *("input.value", "output.value", "input.mime_type", "output.mime_type"),
    *("llm.input_messages", "llm.output_messages", "llm.tools", "llm.prompts"),
)
"""attributes, or their beginnings, of OpenInference that repeat what the wire has"""
_SEMANTIC_KERNEL = "SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS"
"""switches on Semantic Kernel's own spans of agents, without text; it is read at its import"""
_AGENT_OF_STEP = re.compile(r"current_agent_name=\\?['\"][^'\"\\]+['\"]")
"""how the event of a step of LlamaIndex's workflow names its agent, which nothing else does"""


def switch_on(
    provider: TracerProvider, worker: Worker, *, endpoint: str, include_usage: bool
) -> None:
    """Instrument what is installed, each when the program imports it.

    Once the wire has seen a call of this program, the spans of frameworks leave out the text. A
    program whose models are reached otherwise keeps it.
    """
    for one in ALLOWED:
        if installed(one.library) and installed(one.module):
            when_imported(one.library, _switching_on(one, provider, worker))
    if installed("pydantic_ai"):
        when_imported("pydantic_ai", lambda module: _pydantic_ai(module, provider))
    if installed("semantic_kernel"):
        os.environ.setdefault(_SEMANTIC_KERNEL, "true")
    if installed("claude_agent_sdk"):
        when_imported(
            claude_agent_sdk.MODULE, lambda module: claude_agent_sdk.adapt(module, worker, endpoint)
        )
    if installed("openai"):
        when_imported(
            "openai._base_client",
            lambda module: openai_client.adapt(module.BaseClient, include_usage=include_usage),
        )


def frameworks() -> list[tuple[Instrumentor, bool]]:
    """Return the frameworks that are here, and whether each one's instrumentor is, too."""
    return [(one, installed(one.module)) for one in ALLOWED if installed(one.library)]


def _switching_on(
    one: Instrumentor, provider: TracerProvider, worker: Worker
) -> Callable[[ModuleType], None]:
    def switch(module: ModuleType) -> None:
        del module
        instrumentor = getattr(importlib.import_module(one.module), one.class_name)()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=provider, config=_config(worker))

    return switch


def _config(worker: Worker) -> object:
    config: Any = importlib.import_module(_OI).TraceConfig  # comes with the extra

    class WithoutText(config):  # type: ignore[misc]  # known at run time only
        def mask(self, key: str, value: Any, **options: Any) -> Any:  # noqa: ANN401  # as above it
            if key.startswith(_TEXT) and worker.calls:
                return _without_text(value)
            return super().mask(key, value, **options)

    return WithoutText()


def _without_text(value: object) -> str | None:
    """Return what of a text no other span says: the agent of a step."""
    said = value() if callable(value) else value
    found = _AGENT_OF_STEP.search(said) if isinstance(said, str) else None
    return found[0] if found else None


def _pydantic_ai(module: ModuleType, provider: TracerProvider) -> None:
    """Switch Pydantic AI's own tracing on, for all agents."""
    settings = module.InstrumentationSettings(tracer_provider=provider, include_content=False)
    module.Agent.instrument_all(settings)
