"""Let the CLI that the Claude Agent SDK starts report its own calls, which leave from its process.

The variables are those of `phasewise env claude-agent-sdk`. Only the CLI gets them, and values set
by the program or its environment take precedence.
"""

import os
from collections.abc import MutableMapping
from functools import wraps
from types import ModuleType
from typing import Any

from phasewise.wire.worker import Worker

MODULE = "claude_agent_sdk._internal.transport.subprocess_cli"
TELEMETRY = {
    "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
    "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "{http}",
}
"""`{http}` stands for the collector's address"""
_SOON_MS = {"OTEL_LOGS_EXPORT_INTERVAL": "500", "OTEL_BSP_SCHEDULE_DELAY": "500"}


def adapt(module: ModuleType, worker: Worker, endpoint: str) -> None:
    """Add the variables to whatever environment the SDK gives its CLI."""
    transport = module.SubprocessCLITransport
    before = transport.__init__

    @wraps(before)
    def init(self: Any, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  # the SDK's own
        before(self, *arguments, **named)
        options = getattr(self, "_options", None)
        environment = getattr(options, "env", None)
        if isinstance(environment, MutableMapping):
            worker.reported_elsewhere += 1
            for name, value in (TELEMETRY | _SOON_MS).items():
                if name not in os.environ:
                    environment.setdefault(name, value.format(http=endpoint))

    transport.__init__ = init
