"""Open the database for a command: the file itself, or through the process that owns it.

Only commands that bring data make a database that is not there (`up`, `import`, `gpu import`,
`demo`); for the others a wrong --db is an error. Commands that show costs have calls without any
analysed first: an import that was interrupted, or a collector that was stopped, leaves such calls
behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phasewise_analyzer.analyse import analyse
from phasewise_store.errors import UsageError
from phasewise_store.store import Store

from phasewise_web.caveats import state_of_analysis
from phasewise_web.cli.output import progress, say


def created(path: Path) -> Store:
    """Return the store, an empty one where there is none.

    When another command holds the file, say so and wait.
    """
    return Store.open(path, waiting=say)


def opened(path: Path) -> Store:
    """Open an existing database; raises UsageError when there is none."""
    require(path)
    return created(path)


def require(path: Path) -> None:
    """Raise UsageError when there is no database, so that a mistyped name creates no file."""
    if not path.exists():
        raise UsageError(
            f"there is no database `{path}`; choose one with --db, or create it with  "
            f"phasewise import --db {path} PATH  or  phasewise up --db {path}"
        )


@contextmanager
def analysed(path: Path) -> Iterator[Store]:
    """Return a snapshot of the store with every call analysed, for commands that read."""
    with opened(path) as store:
        with progress("analysing") as step:
            analyse(store, step=step)
        with store.snapshot():
            for note in state_of_analysis(store):
                say(f"note: {note}")
            yield store
