"""What every test may ask for: the shared traces, a store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from phasewise_store.store import Store

SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces"


@pytest.fixture(scope="session")
def shared_traces() -> Path:
    """Give the folder of shared traces, or skip."""
    if not SHARED.is_dir():
        pytest.skip("needs the shared traces in ../shared/traces beside the checkout")
    return SHARED


@pytest.fixture
def store() -> Iterator[Store]:
    """Give an empty store in memory."""
    with Store.in_memory() as opened:
        yield opened
