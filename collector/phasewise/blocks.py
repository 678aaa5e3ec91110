"""Mark a block of a program: `with block:`, or `@block` on any kind of function.

Functions, coroutines, generators and asynchronous generators are marked while they run. A
generator runs in the context of its caller, so its block is entered again for each step.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class Run(Protocol):
    """One run of a marked block or function."""

    def active(self) -> AbstractContextManager[None]:
        """Make the block's context current; may be entered again and again."""
        ...

    def returned(self, value: object) -> None:
        """Take what the function returned."""
        ...

    def yielded(self, value: object) -> None:
        """Take one of the values that a generator yields."""
        ...

    def end(self, error: BaseException | None) -> None:
        """End the run, well or with an error."""
        ...


Begin = Callable[[Callable[..., Any] | None, tuple[Any, ...], dict[str, Any]], Run]
"""Begins a run: of a function with its arguments, or of a block (None)."""


class Block:
    """What `phasewise.session`, `agent` and `tool` give: a context manager and a decorator."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._open: list[tuple[Run, AbstractContextManager[None]]] = []

    def __enter__(self) -> None:
        run = self._begin(None, (), {})
        entered = run.active()
        entered.__enter__()
        self._open.append((run, entered))

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        run, entered = self._open.pop()
        entered.__exit__(None, None, None)
        run.end(error)

    def __call__(self, function: F) -> F:
        """Mark a function."""
        return marked(function, self._begin)


def marked(function: F, begin: Begin) -> F:
    """Return the function with each of its runs in a block of its own."""
    if inspect.isasyncgenfunction(function):
        made: Any = _of_async_generator(function, begin)
    elif inspect.isgeneratorfunction(function):
        made = _of_generator(function, begin)
    elif inspect.iscoroutinefunction(function):
        made = _of_coroutine(function, begin)
    else:
        made = _of_function(function, begin)
    return cast("F", functools.wraps(function)(made))


@contextmanager
def _ending(run: Run) -> Generator[None]:
    """End the run with the block, with the error that leaves it."""
    try:
        yield
    except GeneratorExit:
        run.end(None)  # the caller had enough
        raise
    except BaseException as error:
        run.end(error)
        raise
    run.end(None)


def _of_function(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  # the program's own
        run = begin(function, arguments, named)
        with _ending(run), run.active():
            value = function(*arguments, **named)
            run.returned(value)
            return value

    return call


def _of_coroutine(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  # the program's own
        run = begin(function, arguments, named)
        with _ending(run), run.active():
            value = await function(*arguments, **named)
            run.returned(value)
            return value

    return call


def _of_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def call(
        *arguments: Any,  # noqa: ANN401  # the program's own
        **named: Any,  # noqa: ANN401
    ) -> Generator[Any, Any, Any]:
        run = begin(function, arguments, named)
        inner = function(*arguments, **named)
        with _ending(run):
            step = functools.partial(next, inner)
            while True:
                with run.active():
                    try:
                        item = step()
                    except StopIteration as stop:
                        return stop.value
                run.yielded(item)
                try:
                    step = functools.partial(inner.send, (yield item))
                except GeneratorExit:
                    with run.active():
                        inner.close()
                    raise
                except BaseException as error:
                    step = functools.partial(inner.throw, error)

    return call


def _of_async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def call(
        *arguments: Any,  # noqa: ANN401  # the program's own
        **named: Any,  # noqa: ANN401
    ) -> AsyncGenerator[Any, Any]:
        run = begin(function, arguments, named)
        inner = function(*arguments, **named)
        with _ending(run):
            step = inner.__anext__
            while True:
                with run.active():
                    try:
                        item = await step()
                    except StopAsyncIteration:
                        return
                run.yielded(item)
                try:
                    step = functools.partial(inner.asend, (yield item))
                except GeneratorExit:
                    with run.active():
                        await inner.aclose()
                    raise
                except BaseException as error:
                    step = functools.partial(inner.athrow, error)

    return call
