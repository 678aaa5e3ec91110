"""What every test may ask for: the shared traces, a store."""

import fcntl
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from phasewise_collector.importing import import_paths
from phasewise_store.store import Store

from tests.side_by_side import arrange, share

# an absolute time of a shared machine proves nothing
settings.register_profile("phasewise", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("phasewise")

REQUIRED = pytest.StashKey[frozenset[str]]()
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


@pytest.fixture(scope="session")
def imported_kv_cache_tester(
    shared_traces: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Path:
    """Give a database with all of kv-cache-tester, which all workers import once."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    path = folder / "kv-cache-tester.duckdb"
    with (folder / "kv-cache-tester.turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not path.exists():
            made = folder / "kv-cache-tester.part"
            with Store.own(made) as store:
                import_paths(store, [shared_traces / "kv-cache-tester" / "traces"])
            made.rename(path)
    return path


@pytest.fixture
def kv_cache_tester(imported_kv_cache_tester: Path, tmp_path: Path) -> Iterator[Store]:
    """Give a store of one's own with all of kv-cache-tester; nothing is analysed."""
    with Store.own(Path(shutil.copy(imported_kv_cache_tester, tmp_path))) as opened:
        yield opened


def pytest_configure(config: pytest.Config) -> None:
    """Read which parts must be there: CI sets PHASEWISE_REQUIRE so that nothing is skipped."""
    config.stash[REQUIRED] = frozenset(os.environ.get("PHASEWISE_REQUIRE", "").split())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Prepare the tests for several workers; one process alone keeps the usual order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        arrange(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Run a test marked `timed` while no other worker runs one."""
    del nextitem
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    folder = item.config.rootpath / ".pytest_cache"
    folder.mkdir(exist_ok=True)
    with share(folder, alone=item.get_closest_marker("timed") is not None):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test that needs a required part into a failure."""
    report = yield
    needs = item.config.stash[REQUIRED] & {mark.name for mark in item.iter_markers()}
    if report.skipped and needs and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but PHASEWISE_REQUIRE names {sorted(needs)}: {report.longrepr}"
    return report
