"""Agent programs in real libraries, live: each request once, with right tokens, times and names.

All programs run side by side into one collector, which loads what comes while they run; no other
test runs meanwhile.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest

from tests.frameworks.cases import CASES, Case, Runs, name_of, running
from tests.frameworks.expectations import Part
from tests.frameworks.running import BUSY, is_installed

pytestmark = pytest.mark.frameworks

EVERY_CASE = pytest.mark.parametrize("case", [pytest.param(one, id=name_of(one)) for one in CASES])


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    alone: Callable[[], AbstractContextManager[None]],
) -> Iterator[Runs]:
    """Run what is selected and installed."""
    parameters = [getattr(item, "callspec", None) for item in request.session.items]
    selected = [one.params["case"] for one in parameters if one and "case" in one.params]
    wanted = [case for case in CASES if case in selected and is_installed(*case)]
    with ExitStack() as stack:
        with alone():
            done = stack.enter_context(running(wanted, tmp_path_factory.mktemp("frameworks")))
        yield done


@pytest.fixture
def installed(case: Case) -> Case:
    """Give a case whose libraries are here."""
    if not is_installed(*case):
        pytest.skip("needs real SDKs; install them with  make frameworks")
    return case


@pytest.fixture
def faults(
    request: pytest.FixtureRequest, runs: Runs, installed: Case
) -> Callable[[Part], list[str]]:
    """Give what is wrong with a part; what is known to be wrong must still be so."""

    def of(part: Part) -> list[str]:
        if part in installed[0].wrong:
            reason = installed[0].wrong[part]
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
        return runs.faults(installed)[part]

    return of


@EVERY_CASE
def test_each_request_is_one_call(
    runs: Runs, installed: Case, faults: Callable[[Part], list[str]]
) -> None:
    """Each answered request is one call with its tokens, model and prompt; none is too many."""
    run = runs.last[name_of(installed)]
    assert run.exit_code == run.program.exit_code, run.said
    assert faults("calls") == []


@EVERY_CASE
def test_times_are_the_servers(
    runs: Runs, installed: Case, faults: Callable[[Part], list[str]]
) -> None:
    """First token and end are where the server's own clock puts them."""
    found = faults("times")
    others = runs.last[name_of(installed)].others
    if found and others > BUSY and "times" not in installed[0].wrong:
        pytest.xfail(f"others held {others:.1f} processors, alone or not: {found}")
    assert found == []


@EVERY_CASE
def test_sessions_agents_and_tools_are_the_programs(
    faults: Callable[[Part], list[str]],
) -> None:
    """A conversation is one session, and agents and tools carry the names that the program has."""
    assert faults("structure") == []
