"""Open the database for a command that shows costs: calls without any are analysed first.

An import that was interrupted, or a collector that was stopped, leaves such calls behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phasewise_analyzer.analyse import analyse
from phasewise_store.store import Store

from phasewise_web.cli.output import progress


@contextmanager
def analysed(path: Path) -> Iterator[Store]:
    """Give the store with the costs of every call in it."""
    with Store.open(path) as store:
        with progress("analysing") as step:
            analyse(store, step=step)
        yield store
