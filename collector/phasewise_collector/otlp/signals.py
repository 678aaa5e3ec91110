"""The three signals of OTLP, and a checked request."""

from dataclasses import dataclass
from typing import Literal

Signal = Literal["traces", "metrics", "logs"]
SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
ITEMS: dict[Signal, str] = {"traces": "spans", "metrics": "data points", "logs": "log records"}
"""what a request of each signal carries"""


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that may be put away."""

    accepted: int
    """items: spans, data points or log records"""
    rejected: int = 0
    """spans without valid ids, which can never be stored"""
    warning: str = ""
    """what was mended to accept the rest"""
    plain_bytes: int = 0
    """size of the body without compression"""
    mended: bytes | None = None
    """the body to put away, uncompressed, where the one that came cannot be parsed as it is"""
