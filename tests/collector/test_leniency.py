"""What is nearly OTLP is read, over HTTP as from a file, and one bad span costs no other."""

import hashlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from phasewise_collector.dialects.content import take
from phasewise_collector.dialects.derive import derive
from phasewise_collector.otlp import json as otlp_json
from phasewise_collector.otlp import protobuf
from phasewise_collector.otlp.spans import MalformedError

from tests.otlp_conformance.talk import Receiver
from tests.otlp_conformance.test_conformance import OurReceivers

CASES = Path(__file__).parents[1] / "cases" / "reports"


@pytest.fixture(scope="module")
def receivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OurReceivers, Receiver]]:
    """Run the acceptor's doors over a log and a store."""
    ours = OurReceivers(tmp_path_factory.mktemp("leniency"))
    with ours as running:
        yield ours, running


def post(receiver: Receiver, body: bytes, signal: str = "traces") -> dict[str, Any]:
    """Post OTLP/JSON; give the partial success of the answer."""
    assert receiver.http is not None
    request = urllib.request.Request(
        f"http://{receiver.http.host}:{receiver.http.port}/v1/{signal}",
        body,
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.loads(answer.read()).get("partialSuccess", {})
    return found


@pytest.mark.parametrize(
    ("case", "rejected", "said"),
    [
        ("otlp-snake", 0, ""),
        ("otlp-surrogate", 0, "U+FFFD"),
        ("otlp-enum-names", 0, ""),
        ("otlp-array", 0, "2 requests"),
        ("otlp-schemaurl-first", 0, ""),
        ("otlp-nul", 0, ""),
        ("http-one-bad-span", 1, "`startTimeUnixNano` must be a whole number"),
        ("negative-duration", 0, ""),
        ("tools-structured", 0, ""),
        ("truncated-json-attr", 0, ""),
        ("image-content", 0, ""),
        ("litellm-raw", 0, ""),
    ],
)
def test_a_posted_case_is_stored(
    receivers: tuple[OurReceivers, Receiver], case: str, rejected: int, said: str
) -> None:
    """A body that a file may hold gives the same calls over HTTP, and the answer says why."""
    ours, receiver = receivers
    folder = CASES / case
    wanted = json.loads((folder / "expected.json").read_text())["expected"]
    # a trace of its own: several cases tell of one
    body = (folder / "a.json").read_bytes()
    for old in (b"83f1535f99ab0bf4e9d02dfd85d3e3f7", b"0f826a89cf68c399c5f4cf320c1a5842"):
        own = hashlib.md5(case.encode() + old, usedforsecurity=False).hexdigest()
        body = body.replace(old, own.encode())
    before = totals(ours)
    partial = post(receiver, body)
    assert int(partial.get("rejectedSpans", 0)) == rejected
    assert said in partial.get("errorMessage", "")
    after = totals(ours)
    assert after[0] - before[0] == wanted["calls"]
    assert after[1] - before[1] == wanted.get("input_tokens", after[1] - before[1])


def totals(ours: OurReceivers) -> tuple[int, int]:
    """Load what is there; give the calls and their input tokens."""
    ours.loader.load()
    query = "SELECT count(*)::INT AS n, coalesce(sum(input_tokens), 0)::INT AS i FROM llm_calls"
    found = ours.store.frame(query).row(0)
    return found[0], found[1]


def test_a_body_with_nothing_readable_says_so(receivers: tuple[OurReceivers, Receiver]) -> None:
    """Fields that are not OTLP's are no silent success; empty envelopes are."""
    _, receiver = receivers
    assert "`spans`" in post(receiver, b'{"spans":[{"name":"x"}]}')["errorMessage"]
    assert post(receiver, b'{"resourceSpans":[{"scopeSpans":[]}]}') == {}
    unknown = protobuf.check("traces", b"\x7a\x03abc")  # field 15
    assert unknown.accepted == 0
    assert "not those of an OTLP request" in unknown.warning


def test_logs_and_metrics_are_read_leniently() -> None:
    """Protobuf's own names hide no record, and one bad item is left out alone."""
    record = {"time_unix_nano": "5", "body": {"string_value": "said"}}
    logs = {"resource_logs": [{"scope_logs": [{"log_records": [record, {"time_unix_nano": "x"}]}]}]}
    checked = otlp_json.check("logs", json.dumps(logs).encode())
    assert (checked.accepted, checked.rejected) == (1, 1)
    assert checked.mended is not None
    assert [one.body for one in otlp_json.decode_logs(checked.mended)] == ["said"]
    points = [{"as_int": "3", "time_unix_nano": "5"}, {"as_int": []}]
    metric = {"name": "vllm:x", "gauge": {"data_points": points}}
    metrics = {"resource_metrics": [{"scope_metrics": [{"metrics": [metric]}]}]}
    checked = otlp_json.check("metrics", json.dumps(metrics).encode())
    assert (checked.accepted, checked.rejected) == (1, 1)


def test_logs_in_protobuf_s_names_are_refused_as_traces() -> None:
    """The sender is told the right door, whatever the names are spelt like."""
    with pytest.raises(MalformedError, match="post them to /v1/logs"):
        otlp_json.check("traces", b'{"resource_logs":[{"scope_logs":[]}]}')


def test_ids_in_base64_are_rejected_over_the_wire() -> None:
    """OTLP/JSON asks for hex; only files are read with protobuf's own mapping."""
    body = (CASES / "otlp-messagetojson" / "a.json").read_bytes()
    checked = otlp_json.check("traces", body)
    assert (checked.accepted, checked.rejected) == (0, 1)


def test_attributes_as_an_object_and_old_scopes_are_read() -> None:
    """A plain object of attributes, and the scopes of OTLP before 0.15, lose nothing."""
    span = {
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "name": "chat",
        "startTimeUnixNano": 5,
        "endTimeUnixNano": 9,
        "attributes": {"gen_ai.usage.input_tokens": 7, "list": ["a", 1.5, True], "o": {"k": None}},
    }
    scoped = {"instrumentationLibrary": {"name": "old"}, "spans": [span]}
    body = {"resourceSpans": [{"instrumentationLibrarySpans": [scoped]}]}
    checked = otlp_json.check("traces", json.dumps(body).encode())
    assert checked.mended is not None
    (found,) = otlp_json.decode(checked.mended).spans
    assert found.scope_name == "old"
    assert found.attributes["gen_ai.usage.input_tokens"] == 7
    assert found.attributes["list"] == ["a", 1.5, True]
    assert found.attributes["o"] == {"k": None}


@pytest.mark.parametrize("value", ["9" * 20, "-9" + "0" * 20, 1e300])
def test_an_integer_beyond_64_bits_is_one_bad_span(
    receivers: tuple[OurReceivers, Receiver], value: object
) -> None:
    """No store holds it: the span is rejected alone, and the loader goes on behind it."""
    ours, receiver = receivers
    attributes = [{"key": "n", "value": {"intValue": value}}]
    ids = {"traceId": hashlib.md5(str(value).encode(), usedforsecurity=False).hexdigest()}
    good = ids | {"spanId": "1" * 16, "name": "good"}
    bad = ids | {"spanId": "2" * 16, "name": "bad", "attributes": attributes}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [good, bad]}]}]}
    assert int(post(receiver, json.dumps(body).encode())["rejectedSpans"]) == 1
    assert ours.spans(ids["traceId"]) == 1


def test_our_own_attributes_from_elsewhere_stop_nothing() -> None:
    """A sender may write any text under a name of ours."""
    ids = {"traceId": "1" * 32, "spanId": "2" * 16}
    names = ("phasewise.cache_diagnosis", "phasewise.cache_markers", "phasewise.usage")
    attributes = dict.fromkeys(names, "no JSON") | {"gen_ai.operation.name": "chat"}
    attributes |= {"gen_ai.request.model": "m", "gen_ai.response.id": "r"}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [ids | {"attributes": attributes}]}]}]}
    mended = otlp_json.check("traces", json.dumps(body).encode()).mended
    (call,) = derive([take(one) for one in otlp_json.decode(mended or b"").spans]).llm_calls
    assert call.request == {}
