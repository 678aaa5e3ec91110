"""The page of a name's nights, and the list that leads to it."""

from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from phasewise_replay.nights import night_record, nightly, nightly_file
from phasewise_replay.runs.run import run
from phasewise_reports.trend_chart import Point, trend
from phasewise_store import runs
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions
from tests.replay.test_run import SIMULATED
from tests.web import client as clients

NAME = 'night/"<b>'


@pytest.fixture
def client(store: Store) -> TestClient:
    """Serve two nights; in the second the GPU is slower.  The first night's calls are removed."""
    write_sessions(store)
    text = SIMULATED.replace("name: made", f"name: '{NAME}'", 1)
    for gpu in ("h100-sxm", "a100-80gb"):
        file = nightly_file.parse(text.replace("h100-sxm", gpu), "made")
        night = nightly.judge(store, run(store, file.plan), file.gates)
        night_record.record(store, night, file.gates)
    night_record.forget_old(store, NAME, 1)
    return clients.client(store)


def test_the_list_leads_to_the_trend_of_every_gate(client: TestClient, store: Store) -> None:
    """Its name is escaped; a night that was removed has no link, the other one has."""
    path = f"/nights/{quote(NAME, safe='')}"
    assert f'href="{path}"' in client.get("/runs").text
    found = client.get(path).text
    assert NAME not in found
    (left,) = runs.runs(store)
    assert f'href="/runs/{quote(left.run_id, safe="")}"' in found
    assert found.count("calls removed") == 1
    assert found.count("worse than its gate allows</span>") == found.count('class="worse"') > 0
    gates = client.get(f"{path}.json").json()["gates"]
    assert {(one["arm"], one["measure"]) for one in gates} >= {
        (arm, measure) for arm in ("off", "on") for measure in ("prefill_s", "decode_s", "ttft_s")
    }
    assert client.get("/nights/nobody").status_code == 404


def test_a_trend_is_drawn_from_zero_to_a_round_number() -> None:
    """The largest value lies below the top, zero on the bottom, and dates are not too many."""
    points = [Point(f"day {at}", at * 0.7, str(at), False) for at in range(23)]
    drawn = trend(points, label="a", unit="s")
    assert drawn is not None
    assert drawn.points[0].y == drawn.y_ticks[0].at == drawn.bottom
    assert drawn.top <= drawn.points[-1].y <= drawn.bottom
    assert [tick.text for tick in drawn.y_ticks] == ["0 s", "5 s", "10 s", "15 s", "20 s"]
    assert len(drawn.x_ticks) <= 5
    assert trend(points[:1], label="a", unit="s") is None
