"""A budget in seconds that is kept: at its end, and on SIGTERM and SIGINT, the work is interrupted.

The interruption is an exception in the main thread, so that every `with` block stops its engine.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

Cause = Literal["budget", "SIGTERM", "SIGINT"]
_CAUSES: dict[int, Cause] = {
    signal.SIGALRM: "budget",
    signal.SIGTERM: "SIGTERM",
    signal.SIGINT: "SIGINT",
}
STOP_S = 3.0
"""kept back for stopping the engine; see `on_machine.GRACE_S`"""


class StoppedError(BaseException):
    """The work was interrupted; not an Exception, so that nothing handles it as an error."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause: Cause = cause


class Budget:
    """Counts from its creation."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began_s = clock()

    def spent_s(self) -> float:
        """Return the seconds since the start."""
        return self._clock() - self._began_s

    def left_s(self) -> float:
        """Return the seconds left for work; stopping the engine is not work."""
        return max(0.0, self.seconds - STOP_S - self.spent_s())

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Raise StoppedError in the block when the time is spent or a signal comes, and only once.

        For the main thread, since only that one gets signals.
        """
        before = {number: signal.signal(number, _stop) for number in _CAUSES}
        signal.setitimer(signal.ITIMER_REAL, max(self.left_s(), 0.001))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    for other in _CAUSES:
        signal.signal(other, _ignore)  # the engine is being stopped: once is enough
    raise StoppedError(_CAUSES[number])


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing; SIG_IGN would be inherited by programs that are started."""
    del number, frame
