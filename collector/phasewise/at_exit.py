"""The line printed at exit when no model call was captured, so that this does not go unnoticed.

It is printed once, by the process that called `init()`: not by its forks, and not by the workers
that `multiprocessing` starts.
"""

import atexit
import multiprocessing
import os
import sys
from collections.abc import Callable

LINE = "phasewise: 0 model calls captured"


def say_if_nothing_was_seen(seen: Callable[[], bool]) -> None:
    """Print the line to stderr when the program ends, where nothing was seen until then."""
    started_in = os.getpid()

    def say() -> None:
        if os.getpid() != started_in or multiprocessing.parent_process() is not None or seen():
            return
        if sys.stderr is not None and not sys.stderr.closed:
            print(LINE, file=sys.stderr)  # noqa: T201  # the program has no other way to know

    atexit.register(say)
