"""What the collector has received, and what happened to it: the counts must add up."""

from dataclasses import dataclass

from phasewise_collector.loader import Loader
from phasewise_store import log_progress
from phasewise_store.log_progress import Account
from phasewise_store.store import Store


@dataclass(frozen=True, slots=True)
class Line:
    """One signal's account.

    accepted = stored + deduplicated + rejected + waiting
    """

    signal: str
    items: str
    accepted: int
    stored: int
    deduplicated: int
    rejected: int
    waiting: int
    """acknowledged and on disk, not loaded yet"""

    balance: int
    """what the books cannot explain: 0"""


@dataclass(frozen=True, slots=True)
class CollectorPage:
    """The accounts of all signals, and the log's state."""

    lines: tuple[Line, ...]
    waiting_bytes: int
    damaged_bytes: int
    requests: int
    collecting: bool
    """whether a collector runs over this database now"""


ITEMS = {"traces": "spans", "logs": "log records", "metrics": "data points"}


def collector_page(store: Store, loader: Loader | None) -> CollectorPage:
    """Make the page."""
    progress, totals = log_progress.books(store)
    accounts = {account.signal: account for account in totals}
    waiting: dict[str, int] = {} if loader is None else loader.waiting_items(progress)
    lines = []
    for signal, items in ITEMS.items():
        account = accounts.get(signal, Account(signal))
        here = waiting.get(signal, 0)
        lines.append(
            Line(
                signal,
                items,
                account.accepted + here,
                account.stored,
                account.deduplicated,
                account.rejected,
                here,
                account.accepted - account.stored - account.deduplicated - account.rejected,
            )
        )
    return CollectorPage(
        tuple(lines),
        0 if loader is None else loader.waiting_bytes(progress),
        sum(one.damaged_bytes for one in progress.values()),
        sum(one.requests for one in progress.values()),
        loader is not None,
    )
