"""Coverage-guided fuzzing of everything that reads bytes from outside, with atheris.

usage: python -m tests.chaos.fuzz [SECONDS]

Whatever comes is refused with one of our errors, or read; what was accepted can be loaded.
"""

import sys
import tempfile
from pathlib import Path
from types import ModuleType

import atheris

with atheris.instrument_imports(include=["phasewise_collector"]):
    from phasewise_collector.dialects import log_records
    from phasewise_collector.dialects.content import take
    from phasewise_collector.dialects.derive import derive
    from phasewise_collector.log import frame
    from phasewise_collector.otlp import json, protobuf
    from phasewise_collector.otlp.body import TooLargeError, UnknownEncodingError, inflate
    from phasewise_collector.otlp.grpc import encoding_of
    from phasewise_collector.otlp.spans import MalformedError

from tests.collector.otlp_for_tests import Made, request
from tests.collector.test_dialects import GENAI, OPENINFERENCE
from tests.otlp_conformance import json_form, payloads

LIMIT_BYTES = 1 << 20
SIGNALS = ("traces", "metrics", "logs")


def one(data: bytes) -> None:
    """Read some bytes in every way they could come."""
    if not data:
        return
    choice, body = data[0], data[1:]
    encoding = ("", "gzip", "zstd", "deflate", encoding_of(body))[choice % 5]
    try:
        plain = inflate(body, encoding, LIMIT_BYTES)
    except (MalformedError, TooLargeError, UnknownEncodingError):
        plain = body
    signal = SIGNALS[(choice // 5) % 3]
    reading = json if choice & 0x80 else protobuf
    try:
        checked = reading.check(signal, plain)
    except MalformedError:
        pass
    else:
        kept = plain if checked.mended is None else checked.mended
        _load(reading, signal, kept, checked.accepted)
    for found in frame.scan(body, complete=True):
        assert found.end > found.start
    list(frame.headers(body))


def _load(reading: ModuleType, signal: str, body: bytes, accepted: int) -> None:
    if signal == "traces":
        spans = reading.decode(body).spans
    elif signal == "logs":
        spans = [log_records.as_span(record) for record in reading.decode_logs(body)]
    else:
        assert len(list(reading.decode_metrics(body))) == accepted
        return
    assert len(spans) == accepted
    derive([take(span) for span in {(s.trace_id, s.span_id): s for s in spans}.values()])


def seeds() -> list[bytes]:
    """Give requests to begin with."""
    made = request(Made(1, attributes=OPENINFERENCE), Made(2, 1, attributes=GENAI))
    found = [b"\x00" + made.SerializeToString(), b"\x80" + json_form.encode(made)]
    for number, message in enumerate(payloads.one_of_each()):
        found.append(bytes([number * 5]) + message.SerializeToString())
        found.append(bytes([0x80 | number * 5]) + json_form.encode(message))
    return found


def main() -> None:
    """Fuzz for so many seconds; a finding ends the process with an error."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds()):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup(
            ["fuzz", folder, f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=25"],
            one,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
