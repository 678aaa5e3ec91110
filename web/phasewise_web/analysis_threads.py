"""What the owner of a database does beside serving its pages: load, analyse, analyse again.

It is imported once the pages answer: prices, policies and causes take as long to read as all pages.
"""

import threading

from phasewise_analyzer.analyse import Memory, analyse, analyse_again
from phasewise_collector.loader import Loader
from phasewise_store.store import Store


def work(store: Store, loader: Loader | None, stop: threading.Event) -> None:
    """Analyse what an earlier run left, then load and analyse what comes, until `stop`."""
    memory = Memory()

    def refresh() -> None:
        analyse(store, memory=memory)

    refresh()
    if loader is not None:
        loader.follow(stop, refresh)


def work_again(store: Store, loader: Loader | None, stop: threading.Event) -> None:
    """Analyse what another version has analysed; until that is done its rows stay."""
    del loader
    analyse_again(store, go_on=lambda: not stop.is_set())
