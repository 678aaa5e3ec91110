"""Collect the spans that traced programs on this machine left in their ring without a collector.

A program that has ended cannot send any more. Its spans are on disk, and the collector of their
address fetches them.
"""

import logging
import threading
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from phasewise import settings
from phasewise.ring import rings
from phasewise.sending import LaterError, send_all

LOOK_S = 2.0
_OURS = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0"})  # noqa: S104  # compared, not bound
_log = logging.getLogger(__name__)


def fetch(port: int, folder: Path, hosts: Collection[str] = _OURS) -> None:
    """Send what waits for the collector at this port of this machine."""
    for ring in rings(folder, settings.RING_BYTES.default):
        parts = urlsplit(ring.endpoint)
        if parts.hostname in hosts and (parts.port or 80) == port and ring.waiting():
            try:
                send_all(ring)
            except LaterError:
                return


def keep_fetching(port: int, folder: Path, stop: threading.Event) -> None:
    """Look every two seconds until told to stop."""
    while not stop.wait(LOOK_S):
        try:
            fetch(port, folder)
        except OSError:
            _log.warning("cannot read the span ring of this machine's programs", exc_info=True)
