"""Output of commands: results on stdout, messages and progress on stderr."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from phasewise_reports.json_form import to_json
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from phasewise_web.cli.messages import say

__all__ = ["Step", "print_json", "progress", "say", "stderr", "stdout", "table"]

PIPED_COLUMNS = 240
"""a file or a pipe has no width; rows must not be broken in it"""

stdout = Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS)
stderr = Console(stderr=True)


def print_json(value: object) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(to_json(value) + "\n")


def table(title: str, columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout; a column is its header and whether it holds numbers."""
    if title:
        stdout.print(title, style="italic", highlight=False, markup=False)
    made = Table(box=None, pad_edge=False)
    for header, numeric in columns:
        made.add_column(
            header, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric
        )
    for row in rows:
        made.add_row(*map(escape, row))
    stdout.print(made)


class Step(Protocol):
    """Tells a progress bar how far the work is."""

    def __call__(self, done: int, total: int, label: str = "", /) -> None:
        """Say that `done` of `total` are finished, and optionally what is worked on."""
        ...


@contextmanager
def progress(label: str) -> Iterator[Step]:
    """Show a progress bar on stderr while the block runs; nothing where stderr is no terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )
    with bar:
        task = bar.add_task(label, total=None)

        def step(done: int, total: int, text: str = "", /) -> None:
            bar.update(task, completed=done, total=total, description=text or label)

        yield step
