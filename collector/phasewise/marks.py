"""`session`, `agent`, `tool` and `outcome`: report what no framework reports.

`session`, `agent` and `tool` are context managers and decorators, for functions, coroutines and
generators. None of them raises into the program, and without `phasewise.init()` they do nothing.
"""

import inspect
import json
import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode

from phasewise import labels
from phasewise.blocks import Block, marked
from phasewise.labels import Label

F = TypeVar("F", bound=Callable[..., Any])

MOST_CHARACTERS = 64_000
"""of a tool's arguments, and of its result"""
_KIND = "openinference.span.kind"
_ARGUMENTS, _RESULT = "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"
_log = logging.getLogger("phasewise")


def session(
    session_id: str,
    *,
    user: str | None = None,
    customer: str | None = None,
    tags: Iterable[str] = (),
    version: str | None = None,
    metadata: Mapping[str, object] | None = None,
) -> Block:
    """Put all calls inside the block into one session, across traces, and label them.

    `user` and `customer` say whom the calls are for, `version` which build of the agent makes
    them; sessions and calls can be filtered by each of them, and by each tag. `metadata` is kept
    and shown.
    """
    said: dict[str, Label] = {"session.id": session_id, "phasewise.session": session_id}
    for name, value in (("user", user), ("customer", customer), ("version", version)):
        if value is not None:
            said[f"phasewise.{name}"] = str(value)
    if tags:
        said["phasewise.tags"] = tuple(str(tag) for tag in tags)
    if metadata:
        said["phasewise.metadata"] = json.dumps(dict(metadata), default=str)
    return Block(lambda *_: _Labelled(labels.added(said)))


@overload
def agent(name: F) -> F: ...
@overload
def agent(name: str | None = None) -> Block: ...
def agent(name: F | str | None = None) -> F | Block:
    """Count all calls inside the block to this agent; one inside another is its sub-agent.

    `@phasewise.agent` alone takes the function's name.
    """
    return _block("AGENT", "agent.name", name, keeps_values=False)


@overload
def tool(name: F) -> F: ...
@overload
def tool(name: str | None = None) -> Block: ...
def tool(name: F | str | None = None) -> F | Block:
    """Time a tool that the agent runs; a decorated function's arguments and result are kept, too.

    What is kept obeys the capture mode: `hash` and `none` keep neither. `@phasewise.tool` alone
    takes the function's name.
    """
    return _block("TOOL", "tool.name", name, keeps_values=True)


def outcome(
    outcome: str,
    *,
    revenue: float | None = None,
    customer: str | None = None,
    session: str | None = None,
) -> None:
    """Say how the session ended, e.g. `resolved`, and what that earned in USD.

    Of the session whose block this stands in, unless `session` names one; said again, the last
    holds.
    """
    if session is None and not labels.current() and not trace.get_current_span().is_recording():
        _log.warning(
            "phasewise.outcome() was called outside a session; name the session with session=…"
        )
        return
    said: dict[str, str | float] = {"phasewise.outcome": str(outcome)}
    if revenue is not None:
        said["phasewise.revenue_usd"] = float(revenue)
    if customer is not None:
        said["phasewise.customer"] = customer
    span = _tracer().start_span("phasewise.outcome", attributes=said)
    if session is not None:
        span.set_attributes({"session.id": session, "phasewise.session": session})
    span.end()


class _Labelled:
    """A run inside which spans carry labels."""

    def __init__(self, inside: Context) -> None:
        self._inside = inside

    @contextmanager
    def active(self) -> Generator[None]:
        token = context.attach(self._inside)
        try:
            yield
        finally:
            context.detach(token)

    def returned(self, value: object) -> None:
        del value

    def yielded(self, value: object) -> None:
        del value

    def end(self, error: BaseException | None) -> None:
        del error


class _Spanned(_Labelled):
    """A run that is a span of its own."""

    def __init__(self, span: Span, *, keeps_values: bool) -> None:
        super().__init__(trace.set_span_in_context(span))
        self._span = span
        self._keeps_values = keeps_values and span.is_recording()
        self._yielded: list[str] = []
        self._characters = 0

    def returned(self, value: object) -> None:
        if self._keeps_values:
            self._span.set_attribute(_RESULT, _written(value))

    def yielded(self, value: object) -> None:
        if self._keeps_values and self._characters < MOST_CHARACTERS:
            self._yielded.append(_written(value))
            self._characters += len(self._yielded[-1])

    def end(self, error: BaseException | None) -> None:
        if self._yielded:
            self._span.set_attribute(_RESULT, "\n".join(self._yielded)[:MOST_CHARACTERS])
        if error is not None:
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self._span.end()


def _block(kind: str, attribute: str, name: F | str | None, *, keeps_values: bool) -> F | Block:
    def begin(
        function: Callable[..., Any] | None, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> _Spanned:
        title = name if isinstance(name, str) else getattr(function, "__name__", kind.lower())
        span = _tracer().start_span(title, attributes={_KIND: kind, attribute: title})
        if keeps_values and function is not None and span.is_recording():
            span.set_attribute(_ARGUMENTS, _written(_bound(function, arguments, named)))
        return _Spanned(span, keeps_values=keeps_values and function is not None)

    return Block(begin) if name is None or isinstance(name, str) else marked(name, begin)


def _bound(
    function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
) -> Mapping[str, object]:
    """Return the arguments by name, without the object that a method belongs to."""
    try:
        found = dict(inspect.signature(function).bind(*arguments, **named).arguments)
    except (TypeError, ValueError):  # the call itself will say what is wrong
        return {"arguments": list(arguments), **named}
    return {place: value for place, value in found.items() if place not in ("self", "cls")}


def _written(value: object) -> str:
    """Write a value as text; a tracer must not fail on what it cannot write."""
    if isinstance(value, str):
        return value[:MOST_CHARACTERS]
    try:
        return json.dumps(value, default=str)[:MOST_CHARACTERS]
    except (TypeError, ValueError, RecursionError):
        return repr(type(value))


def _tracer() -> trace.Tracer:
    return trace.get_tracer("phasewise")
