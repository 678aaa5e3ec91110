"""What a case is, and the three ways it can end other than well."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.otlp_conformance.talk import Talk

Level = Literal["MUST", "SHOULD", "MAY"]
Encoding = Literal["grpc", "protobuf", "json"]

EVERY: tuple[Encoding, ...] = ("grpc", "protobuf", "json")
HTTP: tuple[Encoding, ...] = ("protobuf", "json")
BINARY: tuple[Encoding, ...] = ("grpc", "protobuf")
GRPC: tuple[Encoding, ...] = ("grpc",)
PROTOBUF: tuple[Encoding, ...] = ("protobuf",)
JSON: tuple[Encoding, ...] = ("json",)


class CaseEnd(Exception):
    """A case ended early.

    CaseEnd
    ├── Failed       the receiver did something else
    ├── NotOffered   the receiver declines, as it may, what this case is about
    └── NotChecked   the suite was not given what it needs to see this
    """


class Failed(CaseEnd):
    """The receiver did something else than the obligation asks."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}; got {got}")
        self.expected = expected
        self.got = got


class NotOffered(CaseEnd):
    """The receiver does not do what it is free to leave out."""


class NotChecked(CaseEnd):
    """The suite lacks the means: no way to count what is stored, no way to cause overload."""


@dataclass(frozen=True, slots=True)
class Case:
    """One obligation of a receiver and the function that holds a receiver to it."""

    section: str
    """Name of the module that holds it."""
    name: str
    """Name of the function."""
    level: Level
    """How much of an obligation: a MUST that fails fails the run."""
    source: str
    """Where the obligation is written."""
    obligation: str
    """The obligation in one sentence."""
    encodings: tuple[Encoding, ...]
    """Where it has meaning."""
    run: "Callable[[Talk], None]"
    """Passes by returning."""


REGISTRY: list[Case] = []


def case(
    level: Level, source: str, encodings: tuple[Encoding, ...] = EVERY
) -> "Callable[[Callable[[Talk], None]], Callable[[Talk], None]]":
    """Put a function into the table of cases; its docstring is the obligation."""

    def register(run: "Callable[[Talk], None]") -> "Callable[[Talk], None]":
        section = run.__module__.rpartition(".")[2]
        obligation = (run.__doc__ or "").partition("\n")[0]
        REGISTRY.append(Case(section, run.__name__, level, source, obligation, encodings, run))
        return run

    return register
