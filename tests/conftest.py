"""What every test may ask for: the shared traces, a store."""

import fcntl
import os
import pickle
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from phasewise_analyzer.analyse import analyse
from phasewise_collector.importing import Imported, import_paths
from phasewise_store.store import Store

from tests.side_by_side import Room, arrange, share

# an absolute time of a shared machine proves nothing
settings.register_profile("phasewise", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("phasewise")

ROOM = pytest.StashKey[Room]()
REQUIRED = pytest.StashKey[frozenset[str]]()
SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces"


@pytest.fixture(scope="session")
def shared_traces() -> Path:
    """Give the folder of shared traces, or skip."""
    if not SHARED.is_dir():
        pytest.skip("needs the shared traces in ../shared/traces beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def alone(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[None]]:
    """Give a block in which no other test runs, to measure time in."""
    stash = request.config.stash
    return lambda: stash[ROOM].alone() if ROOM in stash else nullcontext()


@pytest.fixture
def store() -> Iterator[Store]:
    """Give an empty store in memory."""
    with Store.in_memory() as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus in a database, imported and analysed."""

    database: Path
    imported: Imported


@pytest.fixture(scope="session")
def whole_kv_cache_tester(
    shared_traces: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Corpus:
    """Give all of kv-cache-tester, which all workers import and analyse once."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    database, imported = folder / "kv-cache-tester.duckdb", folder / "kv-cache-tester.pickle"
    with (folder / "kv-cache-tester.turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not database.exists():
            part = folder / "kv-cache-tester.part"
            with Store.own(part) as store:
                done = import_paths(store, [shared_traces / "kv-cache-tester" / "traces"])
                analyse(store)
            imported.write_bytes(pickle.dumps(done))
            part.rename(database)
    return Corpus(database, pickle.loads(imported.read_bytes()))


@pytest.fixture
def kv_cache_tester(whole_kv_cache_tester: Corpus, tmp_path: Path) -> Iterator[Store]:
    """Give a store of one's own with all of kv-cache-tester, analysed."""
    with Store.own(Path(shutil.copy(whole_kv_cache_tester.database, tmp_path))) as opened:
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
    """Run a test beside those of other workers, unless one of them is alone."""
    del nextitem
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    folder = item.config.rootpath / ".pytest_cache"
    folder.mkdir(exist_ok=True)
    with share(folder) as room:
        item.config.stash[ROOM] = room
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
