"""The elements of messages of every API: text, a tool call, a tool result."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """Words of whoever speaks."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """The model asks for a tool."""

    call_id: str | None
    name: str
    arguments: str
    """a JSON object"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave."""

    call_id: str | None
    name: str | None
    text: str


Item = Text | Call | Result
