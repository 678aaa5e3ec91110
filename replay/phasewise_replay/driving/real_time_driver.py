"""Send sessions to an engine in real time: an event loop sends, the caller's thread reads.

The loop does nothing but to send what is due and to keep the bytes that come. Answers are parsed,
compared with predictions and stored in the caller's thread, after the calls that waited for them
are on their way.
"""

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from phasewise_replay.driving.driver import Waiting
from phasewise_replay.driving.due import Due
from phasewise_replay.driving.warm_first import warm_first
from phasewise_replay.engine import Answer, Channel, Received, Request

CTRL_C_S = 0.2
"""until Ctrl-C is seen while all calls wait for answers"""
SWITCH_S = 0.0005
STOP_S = 1.0
"""for the loop to close its connections"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A call is about to be sent."""

    request: Request


@dataclass(frozen=True, slots=True)
class Answered:
    """A call was answered."""

    request: Request
    received: Received
    lag_ns: int
    """from when it was due until it was sent"""


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing is left to send, or an error has ended the run."""

    error: BaseException | None = None


Event = Sent | Answered | Ended


def drive(
    sessions: Sequence[Sequence[Due]],
    channel: Channel,
    *,
    sent: Callable[[Request], None],
    answered: Callable[[Request, Answer, int], None],
    concurrency: int = 1,
) -> None:
    """Send everything, `concurrency` sessions at a time; an exception of any part ends it.

    First what fills the cache of the sessions that begin at once (`warm_first`).
    `sent` and `answered` are called in the order of the events, in the thread of the caller;
    `answered` with how late the call was sent, in ns. Ctrl-C ends the run at once: a server may
    take minutes for the answers that are still due.
    """
    loop = _Loop(sessions, channel, concurrency)
    with _without_pauses():
        loop.start()
        try:
            while True:
                event = _next(loop.events)
                if isinstance(event, Sent):
                    sent(event.request)
                elif isinstance(event, Answered):
                    answered(event.request, event.received.answer(), event.lag_ns)
                elif event.error is not None:
                    raise event.error
                else:
                    return
        finally:
            loop.stop()


@contextlib.contextmanager
def _without_pauses() -> Iterator[None]:
    """Keep Python from holding up the loop.

    The loop interrupts the reading of answers after half a millisecond instead of five. The cycle
    collector looks only at what is new: all objects of the process, the recorded prompts among
    them, take it tens of milliseconds.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)


def _next(events: "SimpleQueue[Event]") -> Event:
    """Wait for an event.

    Ctrl-C is seen between the tries only: polars puts a handler before Python's that has the kernel
    go on with the wait.
    """
    while True:
        with contextlib.suppress(Empty):
            return events.get(timeout=CTRL_C_S)


class _Loop:
    """The thread with the event loop; it tells what happens through `events`."""

    def __init__(
        self, sessions: Sequence[Sequence[Due]], channel: Channel, concurrency: int
    ) -> None:
        self.events: SimpleQueue[Event] = SimpleQueue()
        self._parts = warm_first(sessions, concurrency)
        self._left: Iterator[Sequence[Due]] = iter(())
        self._workers = min(concurrency, len(sessions))
        self._channel = channel
        # a daemon, so that the process can end while it waits for an answer
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._stopping = threading.Event()
        self._begun: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Drop what is in flight."""
        self._stopping.set()
        if self._begun is not None:
            loop, task = self._begun
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(task.cancel)
        self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_event_loop) as runner:
                runner.run(self._main())
        except asyncio.CancelledError:
            return
        except BaseException as error:
            self.events.put(Ended(_first(error)))
        else:
            self.events.put(Ended())

    async def _main(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._begun = asyncio.get_running_loop(), task
        if self._stopping.is_set():
            return
        try:
            await self._channel.open(self._workers)
            for part in self._parts:
                self._left = iter([session for session in part if session])
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._workers):
                        workers.create_task(self._work())
                        # a session is due when it begins: the next one when its prompt is sent
                        await asyncio.sleep(0)
        finally:
            self._channel.close()

    async def _work(self) -> None:
        """Run one session after another; one starts when a worker is free, so it is never late."""
        for session in self._left:
            await self._follow(session)

    async def _follow(self, session: Sequence[Due]) -> None:
        """Run a session: a task for each of its calls."""
        waiting = Waiting(session, time.perf_counter_ns())

        async def call(due_ns: int, place: int) -> None:
            await _until(due_ns)
            request = session[place].request
            self.events.put(Sent(request))
            received = await self._channel.send(request)
            waiting.answered(place, received.end_ns)
            plan()
            self.events.put(Answered(request, received, max(0, received.begin_ns - due_ns)))

        def plan() -> None:
            while (next_ns := waiting.next_ns()) is not None:
                ready = waiting.pop(next_ns)
                assert ready is not None
                calls.create_task(call(*ready))

        async with asyncio.TaskGroup() as calls:
            plan()


async def _until(due_ns: int) -> None:
    """Sleep until a time of `time.perf_counter_ns`; uvloop sleeps for whole milliseconds."""
    while (left_ns := due_ns - time.perf_counter_ns()) > 0:
        await asyncio.sleep(-(-left_ns // 1_000_000) / 1e3)


def _first(error: BaseException) -> BaseException:
    """Return what has made task groups fail."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's, or asyncio's where uvloop is not installed."""
    try:
        import uvloop  # noqa: PLC0415  # not on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
