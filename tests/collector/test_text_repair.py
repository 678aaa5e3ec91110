"""One bad text, one value nested too deeply, one broken span: the others of the request survive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from phasewise_collector.otlp import protobuf
from phasewise_collector.otlp.spans import MalformedError
from phasewise_collector.otlp.text_repair import BrokenError, mend

from tests.collector.otlp_for_tests import Made, request
from tests.otlp_conformance.wire_bytes import nested_value, span_with_raw_attributes

DESCRIPTOR = ExportTraceServiceRequest.DESCRIPTOR


def two_spans() -> bytes:
    """Make a request of a span to be broken, named so, and a good one."""
    return request(Made(1, name="bad-name"), Made(2, name="good")).SerializeToString()


def test_text_that_is_no_utf8_is_replaced() -> None:
    """Both spans are kept, the sender is told, and what is kept can be parsed."""
    checked = protobuf.check("traces", two_spans().replace(b"bad-name", b"bad\xff\xfeame"))
    assert (checked.accepted, checked.rejected) == (2, 0)
    assert "UTF-8" in checked.warning
    assert checked.mended is not None
    names = [span.name for span in protobuf.decode(checked.mended).spans]
    assert names == ["bad\ufffd\ufffdame", "good"]


def test_a_value_nested_too_deeply_costs_its_own_span_only() -> None:
    """A thousand levels: no parser takes them; the other span is accepted."""
    deep = span_with_raw_attributes("protobuf", nested_value("protobuf", 1000), 1)
    checked = protobuf.check("traces", deep + request(Made(2)).SerializeToString())
    assert (checked.accepted, checked.rejected) == (1, 1)


def test_a_sound_request_is_left_as_it_is() -> None:
    """Byte for byte, with nothing counted."""
    done = mend(two_spans(), DESCRIPTOR)
    assert (done.body, done.texts, done.dropped) == (two_spans(), 0, 0)


@pytest.mark.parametrize("body", [b"\xff", b"\x02\x01a", b"\x0a\x7fabc", b"\x0f\x01"])
def test_bytes_that_are_no_message_are_refused(body: bytes) -> None:
    """The outer structure is broken: there is nothing to keep."""
    with pytest.raises(BrokenError):
        mend(body, DESCRIPTOR)
    with pytest.raises(MalformedError):
        protobuf.check("traces", body)


@given(st.binary(max_size=200), st.integers(0, 10**6))
def test_whatever_comes_is_decided_and_what_is_kept_can_be_parsed(noise: bytes, at: int) -> None:
    """Random bytes inside a request: an error, or a body that the loader's decoder takes."""
    body = two_spans()
    place = at % len(body)
    try:
        checked = protobuf.check("traces", body[:place] + noise + body[place:])
    except MalformedError:
        return
    kept = checked.mended if checked.mended is not None else body[:place] + noise + body[place:]
    assert len(protobuf.decode(kept).spans) == checked.accepted


def test_the_walk_is_linear() -> None:
    """A megabyte of one bad text is mended, and gives one text back."""
    made = request(Made(1, name="x")).SerializeToString()
    assert mend(made, DESCRIPTOR).texts == 0
    bad = request(Made(1, attributes={"big": "y" * 10**6})).SerializeToString()
    done = mend(bad.replace(b"yyyy", b"\xff\xff\xff\xff"), DESCRIPTOR)
    assert done.texts == 1
