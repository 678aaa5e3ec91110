"""The intake behind gRPC and HTTP: check a request, store it, count it.

It gets a callable that stores a request, and does not depend on logs and databases.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from phasewise_collector.otlp import json, protobuf
from phasewise_collector.otlp.body import LIMIT_BYTES, canonical, inflate
from phasewise_collector.otlp.signals import ITEMS, Checked, Signal
from phasewise_collector.otlp.spans import MalformedError

Form = Literal["protobuf", "json"]
"""how a request is written"""

ROOM_BYTES = 256 << 20
"""bodies held at once before senders are asked to wait"""
BUSY_RETRY_S = 1
DISK_RETRY_S = 5
_OFF_LOOP_BYTES = 1 << 20
"""a body this large is checked in a thread, so that small requests need not wait for it"""
_LARGE_AT_ONCE = 2
"""each may hold the limit several times over while it is parsed"""


class PutAway(Protocol):
    """Makes a request durable; raises OSError when it cannot."""

    def __call__(
        self,
        signal: Signal,
        form: Form,
        encoding: str,
        body: bytes,
        *,
        accepted: int,
        rejected: int,
        plain_bytes: int,
    ) -> Awaitable[None]:
        """Return once the request would survive a crash."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request that was not refused."""

    rejected: int = 0
    message: str = ""
    """why, in English; also a warning where nothing was rejected"""


@dataclass(slots=True)
class Counts:
    """What the intake has done since its process started."""

    trace_requests: int = 0
    metrics_requests: int = 0
    logs_requests: int = 0
    accepted_spans: int = 0
    accepted_data_points: int = 0
    accepted_log_records: int = 0
    rejected_spans: int = 0
    """without valid ids, or beyond parsing; their senders were told"""
    refused_requests: int = 0
    """answered with an error for good: they can never be accepted"""
    postponed_requests: int = 0
    """answered with 503 or UNAVAILABLE: their senders will try again"""


class LaterError(Exception):
    """The request is valid, but cannot be stored now; the sender should try again."""

    def __init__(self, reason: str, retry_s: int) -> None:
        super().__init__(f"{reason}; try again in {retry_s} s")
        self.retry_s = retry_s


class Intake:
    """Takes requests of every signal and form; used from one event loop."""

    def __init__(self, put_away: PutAway, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.counts = Counts()
        self.limit_bytes = limit_bytes
        self._put_away = put_away
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def take(self, signal: Signal, form: Form, encoding: str, body: bytes) -> Taken:
        """Return once what was accepted is on disk.

        Raises MalformedError, TooLargeError, UnknownEncodingError for what can never be accepted,
        and LaterError for what can be later.
        """
        if len(body) < _OFF_LOOP_BYTES:
            checked = self._check(signal, form, encoding, body)
        else:
            async with self._large:
                checked = await asyncio.to_thread(self._check, signal, form, encoding, body)
        if checked.rejected and not checked.accepted:
            raise MalformedError(
                f"none of the {checked.rejected} spans has a valid trace id and span id (in JSON, "
                "ids are hex); if these are logs or metrics, post them to /v1/logs or /v1/metrics"
            )
        if checked.accepted:
            label, kept = canonical(encoding), body
            if checked.mended is not None:
                label, kept = "", checked.mended
            await self._keep(signal, form, label, kept, checked=checked)
        self._count(signal, checked)
        return Taken(checked.rejected, _reason(signal, checked))

    async def _keep(
        self, signal: Signal, form: Form, encoding: str, body: bytes, *, checked: Checked
    ) -> None:
        try:
            await self._put_away(
                signal,
                form,
                encoding,
                body,
                accepted=checked.accepted,
                rejected=checked.rejected,
                plain_bytes=checked.plain_bytes,
            )
        except OSError as error:
            reason = f"the collector cannot write its log: {error.strerror or error}"
            raise LaterError(reason, DISK_RETRY_S) from None

    def _check(self, signal: Signal, form: Form, encoding: str, body: bytes) -> Checked:
        plain = inflate(body, encoding, self.limit_bytes)
        check = json.check if form == "json" else protobuf.check
        return replace(check(signal, plain), plain_bytes=len(plain))

    def _count(self, signal: Signal, checked: Checked) -> None:
        counts = self.counts
        if signal == "traces":
            counts.trace_requests += 1
            counts.accepted_spans += checked.accepted
            counts.rejected_spans += checked.rejected
        elif signal == "metrics":
            counts.metrics_requests += 1
            counts.accepted_data_points += checked.accepted
        else:
            counts.logs_requests += 1
            counts.accepted_log_records += checked.accepted


def _reason(signal: Signal, checked: Checked) -> str:
    reasons = [checked.warning] if checked.warning else []
    if checked.rejected and not checked.warning:
        reasons.append(f"{checked.rejected} {ITEMS[signal]} have no valid trace id and span id")
    return "; ".join(reasons)
