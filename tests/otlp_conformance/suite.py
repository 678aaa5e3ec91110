"""Run the cases against one receiver, and tell how each ended."""

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from tests.otlp_conformance.answer import Answer, NoAnswerError
from tests.otlp_conformance.case import (
    EVERY,
    REGISTRY,
    Case,
    Encoding,
    Failed,
    NotChecked,
    NotOffered,
)
from tests.otlp_conformance.cases import SECTIONS
from tests.otlp_conformance.grpc_wire import GrpcWire
from tests.otlp_conformance.talk import Receiver, Talk

End = Literal["passed", "failed", "not offered", "not checked"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a case ended in one encoding."""

    case: Case
    encoding: Encoding
    end: End
    reason: str = ""


def cases() -> list[Case]:
    """Give all cases, in the order in which they run."""
    for section in SECTIONS:
        importlib.import_module(f"tests.otlp_conformance.cases.{section}")
    return sorted(REGISTRY, key=lambda one: SECTIONS.index(one.section))


def run(
    receiver: Receiver,
    *,
    encodings: Iterable[Encoding] = EVERY,
    wanted: Callable[[Case], bool] = lambda case: True,
) -> Iterator[Result]:
    """Run the cases; an encoding whose address is not given is left out."""
    journal: list[Answer] = []
    spoken = [one for one in encodings if _address(receiver, one) is not None]
    with ExitStack() as stack:
        channel = None
        if "grpc" in spoken and receiver.grpc is not None:
            channel = stack.enter_context(GrpcWire(receiver.grpc))
        for case in cases():
            for encoding in spoken:
                if encoding in case.encodings and wanted(case):
                    yield _run(case, Talk(receiver, encoding, journal, channel))


def _address(receiver: Receiver, encoding: Encoding) -> object:
    return receiver.grpc if encoding == "grpc" else receiver.http


def _run(case: Case, talk: Talk) -> Result:
    try:
        case.run(talk)
    except NotOffered as end:
        return Result(case, talk.encoding, "not offered", str(end))
    except NotChecked as end:
        return Result(case, talk.encoding, "not checked", str(end))
    except (Failed, NoAnswerError) as end:
        return Result(case, talk.encoding, "failed", str(end))
    return Result(case, talk.encoding, "passed")
