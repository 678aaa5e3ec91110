"""Decode log frames to spans and data points, and account for every item in them."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from phasewise_store.gauges import Gauge
from phasewise_store.log_progress import Account

from phasewise_collector.dialects import log_records
from phasewise_collector.dialects.aliases import ENGINE_METRICS
from phasewise_collector.log.frame import Frame
from phasewise_collector.otlp import json, protobuf
from phasewise_collector.otlp.body import TooLargeError, UnknownEncodingError, inflate
from phasewise_collector.otlp.spans import MalformedError, ReceivedPoint, ReceivedSpan

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Decoded:
    """What some frames hold."""

    spans: list[ReceivedSpan] = field(default_factory=list)
    """also log records, each as a span of no length"""
    gauges: list[Gauge] = field(default_factory=list)
    accepted: dict[str, int] = field(default_factory=dict)
    """items by signal, the rejected ones included"""
    rejected: dict[str, int] = field(default_factory=dict)
    points: int = 0
    damaged_bytes: int = 0
    """frames that are sound, and yet no request"""

    def accounts(self, stored: Mapping[str, int]) -> list[Account]:
        """Close the books; `stored` says how many items of each signal were new.

        The frames say what was accepted, counted before it was acknowledged; what was stored,
        there already, or rejected is counted here.
        """
        present = dict.fromkeys(self.accepted, 0) | {"metrics": self.points}
        for span in self.spans:
            present["logs" if span.kind == log_records.KIND else "traces"] += 1
        made = []
        for signal, accepted in self.accepted.items():
            new = stored.get(signal, 0)
            made.append(
                Account(signal, accepted, new, present[signal] - new, self.rejected[signal])
            )
            if present[signal] + self.rejected[signal] != accepted:
                _log.error(
                    "item counts do not add up: %d %s items accepted, %d present, %d rejected",
                    *(accepted, signal, present[signal], self.rejected[signal]),
                )
        return made


def decoded(frames: Iterable[Frame]) -> Decoded:
    """Decode frames; one that cannot be read is reported, and the others are not lost with it."""
    done = Decoded()
    for frame in frames:
        try:
            _decode(frame, done)
        except (MalformedError, TooLargeError, UnknownEncodingError):
            # the acceptor checked it and the checksum held: only another version's limits differ
            _log.exception("cannot read a logged request")
            done.damaged_bytes += len(frame.body)
            continue
        counted = frame.accepted + frame.rejected
        done.accepted[frame.signal] = done.accepted.get(frame.signal, 0) + counted
        done.rejected[frame.signal] = done.rejected.get(frame.signal, 0) + frame.rejected
    return done


def _decode(frame: Frame, done: Decoded) -> None:
    plain = inflate(frame.body, frame.encoding)
    reading = json if frame.form == "json" else protobuf
    if frame.signal == "traces":
        done.spans += reading.decode(plain).spans
    elif frame.signal == "logs":
        done.spans += [log_records.as_span(record) for record in reading.decode_logs(plain)]
    else:
        points = list(reading.decode_metrics(plain))
        done.points += len(points)
        done.gauges += [
            _gauge(point, point.value)
            for point in points
            if point.value is not None and _kept(point)
        ]


def _kept(point: ReceivedPoint) -> bool:
    return point.metric.startswith(ENGINE_METRICS)


def _gauge(point: ReceivedPoint, value: float) -> Gauge:
    return Gauge(point.metric, point.time_ns, value, {**(point.resource or {}), **point.attributes})
