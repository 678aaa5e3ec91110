"""Split the caller's wait of one call into prefill, decode and other (queue, network).

Four bases, best first: `engine`, the engine's own phases; `measured`, time to first token seen;
`estimated`, only the duration is known, so the split has an interval; `unknown`, also where that
interval spans the whole call. Wherever there is a split and a duration, prefill + decode + other =
duration. Prefill is what was computed: a cached token takes next to no time.
"""

from dataclasses import dataclass, replace
from typing import Literal

Basis = Literal["engine", "measured", "estimated", "unknown"]


@dataclass(frozen=True, slots=True)
class Times:
    """What is known of a call's time, in nanoseconds; None where the source did not say."""

    duration_ns: int | None = None
    ttft_ns: int | None = None
    queue_ns: int | None = None
    engine_prefill_ns: int | None = None
    engine_decode_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """The share of the wait, queue aside, that is prefill, with its interval; each in [0, 1]."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Phases:
    """One call's wait by phase, in nanoseconds."""

    basis: Basis
    prefill_ns: int | None = None
    prefill_low_ns: int | None = None
    prefill_high_ns: int | None = None
    decode_ns: int | None = None
    other_ns: int | None = None


def split(times: Times, share: Share | None = None) -> Phases:
    """Split a call's wait on the best basis there is; `share` is used where only the sum is known.

    Clocks of a client and an engine differ, and a source may be wrong: a part that would be longer
    than the whole is cut to it, and nothing is ever negative.
    """
    if times.duration_ns is not None and times.duration_ns < 0:
        times = replace(times, duration_ns=None)
    if times.engine_prefill_ns is not None and times.engine_decode_ns is not None:
        return _by_engine(times, times.engine_prefill_ns, times.engine_decode_ns)
    if times.ttft_ns is not None:
        return _by_first_token(times, times.ttft_ns)
    if times.duration_ns is not None and share is not None:
        return _by_share(times, times.duration_ns, share)
    return Phases("unknown")


def _by_engine(times: Times, prefill_ns: int, decode_ns: int) -> Phases:
    prefill, decode = max(prefill_ns, 0), max(decode_ns, 0)
    other = max(times.queue_ns or 0, 0)
    if times.duration_ns is not None:
        prefill = min(prefill, times.duration_ns)
        decode = min(decode, times.duration_ns - prefill)
        other = times.duration_ns - prefill - decode
    return Phases("engine", prefill, prefill, prefill, decode, other)


def _by_first_token(times: Times, ttft_ns: int) -> Phases:
    ttft = max(ttft_ns, 0)
    if times.duration_ns is not None:
        ttft = min(ttft, times.duration_ns)
    other = min(max(times.queue_ns or 0, 0), ttft)
    prefill = ttft - other
    decode = None if times.duration_ns is None else times.duration_ns - ttft
    return Phases("measured", prefill, prefill, prefill, decode, other)


def _by_share(times: Times, duration_ns: int, share: Share) -> Phases:
    other = min(max(times.queue_ns or 0, 0), duration_ns)
    left = duration_ns - other
    low, prefill, high = (
        min(max(round(left * part), 0), left) for part in (share.low, share.estimate, share.high)
    )
    low, high = min(low, prefill), max(high, prefill)
    if low == 0 and high == left:
        return Phases("unknown")
    return Phases("estimated", prefill, low, high, left - prefill, other)
