"""Open the database for a command: the file itself, or through the process that owns it.

Commands that show costs have calls without any analysed first: an import that was interrupted, or
a collector that was stopped, leaves such calls behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phasewise_analyzer.analyse import analyse
from phasewise_store.store import Store

from phasewise_web.cli.output import progress, say


def opened(path: Path) -> Store:
    """Return the store; when another command holds the file, say so and wait."""
    return Store.open(path, waiting=say)


@contextmanager
def analysed(path: Path) -> Iterator[Store]:
    """Return a snapshot of the store with every call analysed, for commands that read."""
    with opened(path) as store:
        with progress("analysing") as step:
            analyse(store, step=step)
        with store.snapshot():
            yield store
