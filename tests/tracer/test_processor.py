"""Which spans of a program leave it: those that tell of models, agents or tools."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from phasewise.processor import concerns_models


@pytest.mark.parametrize(
    ("scope", "leaves"),
    [
        # what stands between an agent's span and its calls, without a word of models in it
        ("semantic_kernel.connectors.ai.chat_completion_client_base", True),
        ("sqlalchemy", False),
    ],
)
def test_a_framework_s_own_spans_leave_whatever_they_say(scope: str, leaves: bool) -> None:
    """Without the spans in between, a call is not known to be its agent's."""
    span = ReadableSpan(
        "AutoFunctionInvocationLoop", instrumentation_scope=InstrumentationScope(scope)
    )
    assert concerns_models(span) is leaves
