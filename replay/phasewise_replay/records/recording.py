"""Where a run writes what it measures: the store, or a file on a machine without one.

`StoreRecording` is in `runs.run_record`, `FileRecording` in `gpu.results_file`.
"""

from collections.abc import Sequence
from typing import Protocol

from phasewise_store.run_facts import Arm, MeasuredCall


class Recording(Protocol):
    """Takes the facts of a run while it is in progress."""

    def put_arm(self, arm: Arm) -> None:
        """Write an arm as it is now; a later call replaces it."""
        ...

    def add_calls(self, calls: Sequence[MeasuredCall]) -> None:
        """Write measured calls; one that was written before is replaced."""
        ...
