"""The settings of the tracer: argument, else environment variable, else default."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar, get_args

T = TypeVar("T")
Capture = Literal["content", "hash", "none"]


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting; the environment variables are asked in order."""

    name: str
    variables: tuple[str, ...]
    default: T
    help: str

    def text(self, argument: str | None) -> str | None:
        """Return what was said for it; None where nothing was."""
        if argument is not None:
            return argument
        return next(filter(None, map(os.environ.get, self.variables)), None)

    def source(self) -> str:
        """Say where its value comes from when no argument is given."""
        return next((name for name in self.variables if os.environ.get(name)), "default")


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
    "name of the program; agents without a name get it too",
)
CAPTURE: Setting[Capture] = Setting(
    "capture",
    ("PHASEWISE_CAPTURE",),
    "content",
    "`content` sends prompts and outputs; `hash` sends a keyed hash and the length of each part, "
    "so that prefixes are found but no text leaves the program; `none` sends neither",
)
KEY = Setting(
    "key",
    ("PHASEWISE_HASH_KEY",),
    "",
    "secret key of `hash`: programs with the same key can be compared; by default one is created "
    "for this user and stored next to the ring",
)
INCLUDE_USAGE = Setting(
    "include_usage",
    ("PHASEWISE_INCLUDE_USAGE",),
    False,
    "`true` requests usage on streams of OpenAI-compatible servers; the program then receives one "
    "more chunk, without choices",
)
ALL_SPANS = Setting(
    "all_spans",
    ("PHASEWISE_ALL_SPANS",),
    False,
    "`true` also sends spans that are not about models, agents or tools",
)
RING = Setting(
    "ring",
    ("PHASEWISE_RING",),
    str(Path("~/.local/state/phasewise/ring")),
    "folder of the ring buffer: spans wait there until the collector has received them",
)
RING_BYTES = Setting(
    "ring_bytes",
    ("PHASEWISE_RING_BYTES",),
    1 << 30,
    "size limit of the ring; beyond it, the oldest spans are dropped and counted",
)
DISABLED = Setting(
    "disabled",
    ("PHASEWISE_DISABLED", "OTEL_SDK_DISABLED"),
    False,
    "`true` makes init() do nothing",
)
QUIET = Setting(
    "quiet",
    ("PHASEWISE_QUIET",),
    False,
    "`true` suppresses the line that is printed at exit when no model call was captured",
)

ALL: tuple[Setting[str] | Setting[bool] | Setting[int] | Setting[Capture], ...] = (
    *(ENDPOINT, SERVICE, CAPTURE, KEY, INCLUDE_USAGE, ALL_SPANS, RING, RING_BYTES, DISABLED, QUIET),
)
"""in the order of the documentation"""


def switched_on(setting: Setting[bool], argument: bool | None) -> bool:
    """Read a setting that is on or off."""
    said = setting.text(None if argument is None else str(argument))
    return setting.default if said is None else said.lower() in {"true", "1", "yes", "on"}


def capture(argument: str | None) -> Capture:
    """Read what may leave the program; raises ValueError for another word."""
    said = (CAPTURE.text(argument) or CAPTURE.default).lower()
    for known in get_args(Capture):
        if said == known:
            chosen: Capture = known
            return chosen
    raise ValueError(f"capture is `{said}`; it can be {', '.join(get_args(Capture))}")


def ring_folder(argument: str | None) -> Path:
    """Read where spans wait."""
    return Path(RING.text(argument) or RING.default).expanduser()


def ring_bytes(argument: int | None) -> int:
    """Read how large the ring may grow."""
    said = RING_BYTES.text(None if argument is None else str(argument))
    return RING_BYTES.default if said is None else int(said)
