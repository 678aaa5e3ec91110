"""The bundled sample traces of real agents, with their licences.

`kv-cache-tester` (Claude Code sessions as block hashes), `tau2-bench` (an airline agent and its
simulated user, with recorded bills), `lmcache-agent-trace` (raw prompts). The SOURCE.md of each
folder states its origin.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path


@contextmanager
def folder() -> Iterator[Path]:
    """Return the folder with all sample traces."""
    with resources.as_file(resources.files(__name__)) as path:
        yield path


def traces(path: Path) -> list[Path]:
    """Return the trace files in that folder."""
    return sorted(path.rglob("*.gz"))
