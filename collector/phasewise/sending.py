"""Send the batches in a ring; the response decides whether a batch is removed, kept or given up."""

import gzip
import http.client
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from phasewise.ring import Ring, Waiting

PATH = "/v1/traces"
TIMEOUT_S = 10.0
_FOR_GOOD = frozenset({400, 413, 415, 422})
"""the batch can never be accepted; any other error is the collector's, or the address is wrong: the
batch stays until that is mended"""
DROPPED_METRIC = "phasewise.tracer.dropped_spans"


class LaterError(Exception):
    """The collector is away, or busy."""

    def __init__(self, retry_s: float) -> None:
        super().__init__(f"try again in {retry_s:g} s")
        self.retry_s = retry_s


def send_all(
    ring: Ring,
    *,
    until: float | None = None,
    timeout_s: float = TIMEOUT_S,
    stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Send the ring's batches, the oldest first; say whether none is left.

    Raises LaterError where the collector does not take them now. `until` is a moment of
    `time.monotonic`; `timeout_s` the longest wait for one answer.
    """
    with ring.sending() as mine:
        if not mine:
            return False
        connection: http.client.HTTPConnection | None = None
        try:
            for batch in ring.waiting():
                if stopped() or (until is not None and time.monotonic() > until):
                    return False
                connection = connection or _connect(ring.endpoint, timeout_s)
                _send(ring, batch, connection)
        finally:
            if connection is not None:
                connection.close()
        return True


def _connect(endpoint: str, timeout_s: float = TIMEOUT_S) -> http.client.HTTPConnection:
    parts = urlsplit(endpoint)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)


def _send(ring: Ring, batch: Waiting, connection: http.client.HTTPConnection) -> None:
    body = batch.body()
    if body is None:
        if batch.path.exists():
            ring.remove(batch)
            ring.count_dropped(batch.spans)
        return
    status, retry_s = _post(connection, f"{urlsplit(ring.endpoint).path.rstrip('/')}{PATH}", body)
    if status >= 300 and status not in _FOR_GOOD:
        raise LaterError(retry_s)
    ring.remove(batch)
    if status in _FOR_GOOD:
        ring.count_dropped(batch.spans)


def report_dropped(ring: Ring, spans: int) -> None:
    """Tell the collector how many spans were ever lost here, as a metric."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    attribute = group.resource.attributes.add(key="host.name")
    attribute.value.string_value = socket.gethostname()
    metric = group.scope_metrics.add().metrics.add(name=DROPPED_METRIC, unit="{span}")
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    metric.sum.data_points.add(time_unix_nano=time.time_ns(), as_int=spans)
    connection = _connect(ring.endpoint)
    try:
        path = f"{urlsplit(ring.endpoint).path.rstrip('/')}/v1/metrics"
        _post(connection, path, request.SerializeToString())
    finally:
        connection.close()


def _post(connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, float]:
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    try:
        connection.request("POST", path, gzip.compress(body, 1), headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise LaterError(1.0) from error
    wait = answer.headers.get("retry-after") or ""
    return answer.status, float(wait) if wait.isdecimal() else 1.0
