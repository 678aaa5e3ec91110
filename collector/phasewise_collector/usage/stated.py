"""What a source reports about the tokens of one call, and the one rule that turns it into `Usage`.

A count can be included in another or be separate. The source's convention says which; the reported
total overrides it when only one reading matches; an impossible reading (more cached tokens than
input) is never chosen. When the total matches no reading, the call is ambiguous.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from phasewise_store.facts import ORDINARY, Billing, Usage

Place = Literal["inside", "outside", "unclear"]
"""whether one count is a part of another, or stands beside it"""


@dataclass(frozen=True, slots=True)
class Stated:
    """Token counts as a source writes them; None where it says nothing."""

    read: int | None = None
    """the input"""
    written: int | None = None
    """the output"""
    cache_read: int | None = None
    cache_write: int | None = None
    """all writes, whatever their lifetime"""
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    total: int | None = None
    cached: Place = "inside"
    """of the cached tokens, by the source's convention: in `read`, or beside it"""
    thoughts: Place = "inside"
    """of the reasoning tokens: in `written`, or beside it"""
    billing: Billing = ORDINARY


def settle(stated: Stated) -> Usage:
    """Return the usage that the counts mean.

    Always: the parts sum to the input, no count is negative, reasoning is at most the output, and
    input + output is the stated total wherever some reading gives that total.
    """
    hit, hour = stated.cache_read or 0, stated.cache_write_1h or 0
    stored = max(stated.cache_write or 0, hour + (stated.cache_write_5m or 0))
    cached = hit + stored
    outputs = list(_outputs(stated))
    inputs = list(_inputs(_input(stated, outputs[0]), hit, stored, stated.cached))
    chosen = _fitting(inputs, outputs, stated.total)
    impossible = stated.cached != "outside" and cached > (stated.read or 0)
    contradicted = chosen is None and bool(stated.total)
    unproved = chosen is None and cached > 0 and (stated.cached == "unclear" or impossible)
    read, written = chosen or (inputs[0], outputs[0])
    high = None
    if unproved:
        high = max(inputs)
    if contradicted:
        assert stated.total is not None
        high = max(*inputs, read, stated.total - min(outputs))
    return Usage(
        uncached_tokens=read - cached,
        cache_read_tokens=hit,
        cache_write_5m_tokens=stored - hour,  # what no lifetime claims lives five minutes
        cache_write_1h_tokens=hour,
        output_tokens=written,
        reasoning_tokens=min(stated.reasoning or 0, written),
        ambiguous=unproved or contradicted,
        cache_reported=stated.cache_read is not None,
        input_tokens_high=high,
        billing=stated.billing,
    )


def without_total(stated: Stated) -> Stated:
    """Drop a total that proves nothing, as its sender adds input and output up itself."""
    return replace(stated, total=None)


def _input(stated: Stated, written: int) -> int:
    if stated.read is not None:
        return stated.read
    return max(0, (stated.total or 0) - written)


def _inputs(read: int, hit: int, stored: int, convention: Place) -> Iterator[int]:
    """Return every input that the counts can mean, the one by convention first."""
    if convention != "outside" and hit + stored <= read:
        yield read
    yield read + hit + stored
    if convention == "outside" and hit + stored <= read:
        yield read
    if hit and stored:
        if stored <= read:
            yield read + hit  # a wrapper took off the reads and left the writes
        if hit <= read:
            yield read + stored


def _outputs(stated: Stated) -> Iterator[int]:
    """Return every output that the counts can mean, the one by convention first."""
    written, thought = stated.written or 0, stated.reasoning or 0
    possible = thought <= written
    if stated.thoughts != "outside" and possible:
        yield written
    yield written + thought
    if stated.thoughts == "outside" and possible:
        yield written


def _fitting(inputs: list[int], outputs: list[int], total: int | None) -> tuple[int, int] | None:
    """Return the reading with the stated total that is nearest to the convention."""
    if not total:
        return None
    places = [(a, b) for a in range(len(inputs)) for b in range(len(outputs))]
    for a, b in sorted(places, key=lambda place: (sum(place), place)):
        if inputs[a] + outputs[b] == total:
            return inputs[a], outputs[b]
    return None
