"""Derive what a request trace does not state: tokens per block, and the unit of its times."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from phasewise_collector.importers.fields import MAX_TOKENS

USUAL_BLOCK = 512
"""what Mooncake's traces use, taken where several sizes explain a file as well"""
_NAMED_BLOCK = re.compile(r"bl(?:oc)?ks?(?:_?size|sz)?[_-]?(\d{1,5})", re.IGNORECASE)

_SECOND_NS = 10**9
_UNITS = (
    (10**17, 1, "nanoseconds"),
    (10**14, 10**3, "microseconds"),
    (10**11, 10**6, "milliseconds"),
)
"""a moment since 1970 above this number is in this unit; moments in seconds lie above 10^9"""
_LONGEST_IN_SECONDS = 10**6
"""eleven days: longer than any published trace"""


def block_tokens(prompts: Sequence[tuple[int, int]], file_name: str) -> int:
    """Return the tokens per block that explain most prompts, each as (tokens, block ids).

    A prompt of n tokens has ceil(n / size) ids, or floor(n / size) where partial blocks are left
    out. Where several sizes explain as many, the one that the file's name states (`blksz_16`),
    then Mooncake's, then a power of two, then the smallest is taken.
    """
    named = _NAMED_BLOCK.search(file_name)
    wanted = [int(named[1])] if named and int(named[1]) else []
    wanted += [USUAL_BLOCK, *(2**power for power in range(4, 15))]
    bounds = [_with_partial_blocks(*prompt) for prompt in prompts if prompt[1] > 0]
    whole = [_whole_blocks_only(*prompt) for prompt in prompts if prompt[1] > 0]
    best = max((_most_explained(sizes, wanted) for sizes in (bounds, whole)), key=lambda x: x[0])
    return best[1]


def _with_partial_blocks(tokens: int, ids: int) -> tuple[int, int]:
    """Return the smallest and the largest size of which so many tokens take so many blocks."""
    return -(-tokens // ids), (tokens - 1) // (ids - 1) if ids > 1 else MAX_TOKENS


def _whole_blocks_only(tokens: int, ids: int) -> tuple[int, int]:
    return tokens // (ids + 1) + 1, tokens // ids


def _most_explained(bounds: list[tuple[int, int]], wanted: list[int]) -> tuple[int, int]:
    """Return how many prompts the best size explains, and that size; earlier wanted ones first."""
    ends = sorted(high for low, high in bounds if high >= low)
    starts = sorted(low for low, high in bounds if high >= low)
    candidates = dict.fromkeys([*wanted, *starts])
    scored = [(bisect_right(starts, size) - bisect_left(ends, size), size) for size in candidates]
    most = max(count for count, _ in scored)
    return next((count, size) for count, size in scored if count == most)


def time_unit(times: Iterable[float], *, usual: tuple[int, str]) -> tuple[int, str]:
    """Return the unit of a trace's times, as nanoseconds and in words.

    Moments since 1970 show it by their size. Times since the trace's start are in the format's
    usual unit, unless that makes the trace longer than eleven days.
    """
    known = list(times)
    last = max(known, default=0)
    for above, unit_ns, name in _UNITS:
        if last > above:
            return unit_ns, name
    if last > _SECOND_NS:
        return _SECOND_NS, "seconds"
    if usual[0] == _SECOND_NS and last > _LONGEST_IN_SECONDS:
        return 10**6, "milliseconds"
    return usual
