"""What the tracer can be told: argument, else environment, else default."""

import os
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting; the environment variables are asked in order."""

    name: str
    variables: tuple[str, ...]
    default: T
    help: str

    def text(self, argument: str | None) -> str | None:
        """Give what was said for it; None where nothing was."""
        if argument is not None:
            return argument
        return next(filter(None, map(os.environ.get, self.variables)), None)


ENDPOINT = Setting(
    "endpoint",
    ("PHASEWISE_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    "http://127.0.0.1:4318",
    "where spans are sent: the collector's address, without /v1/traces",
)
SERVICE = Setting(
    "service_name",
    ("PHASEWISE_SERVICE_NAME", "OTEL_SERVICE_NAME"),
    "",
    "what the program is called; its agents carry the name where they have none",
)
DISABLED = Setting(
    "disabled",
    ("PHASEWISE_DISABLED", "OTEL_SDK_DISABLED"),
    False,
    "`true` makes init() do nothing",
)

ALL: tuple[Setting[str] | Setting[bool], ...] = (ENDPOINT, SERVICE, DISABLED)
"""in the order of the documentation"""
