"""The states of a call's input tokens towards the cache, and the usage that its bill takes.

    sent_before = min(input, max(what an earlier call had sent, what the rule says was read))
    missed      = max(0, sent_before - cached)     where the source reports its cache, else 0
    unreported  = sent_before                      where it does not, else 0

Where the source does not report its cache, the bill is what the provider's rule would charge; it
lies between that of all that was sent before read, and that of nothing read. docs/glossary.md has
the words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from phasewise_store import billing
from phasewise_store.facts import Usage


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a provider's rule says of one prompt, in tokens; the rest is charged in full."""

    policy: str
    """id of the record of the day"""
    read: int
    written_5m: int = 0
    written_1h: int = 0


@dataclass(frozen=True, slots=True)
class CacheStates:
    """What is known of a call's input tokens, and three usages to price."""

    sent_before: int
    missed: int
    unreported: int
    billed: Usage
    """as reported; where the cache is not, as the rule predicts"""
    all_read: Usage
    """with all that was sent before read from the cache; `billed` where the cache is reported"""
    none_read: Usage
    """with nothing read; `billed` where the cache is reported"""
    policy: str | None = None
    """id of the record by which `billed` was predicted; None where it is not a prediction"""


def states(
    usage: Usage, *, sent_before: int, predicted: Predicted | None, cost_is_reported: bool
) -> CacheStates:
    """Tell the states of a call's input apart.

    A source that reports what the call cost has said what was charged: there, its own counts are
    the bill, and no rule is asked.
    """
    read = 0 if predicted is None else predicted.read
    before = min(usage.input_tokens, max(sent_before, read))
    if usage.cache_reported:
        missed = max(0, before - usage.cache_read_tokens)
        return CacheStates(before, missed, 0, usage, usage, usage)
    asked = None if cost_is_reported or not before else predicted
    return CacheStates(
        sent_before=before,
        missed=0,
        unreported=before,
        billed=usage if asked is None else _billed(usage, asked),
        all_read=_split(usage, before, 0, 0),
        none_read=_split(usage, 0, 0, 0),
        policy=None if asked is None else asked.policy,
    )


def billed(call: Mapping[str, object]) -> Usage:
    """Return the input tokens of an analysed call as its bill takes them."""

    def tokens(name: str) -> int:
        value = call[name]
        assert isinstance(value, int)
        return value

    read = tokens("billed_read_tokens")
    short, long = tokens("billed_write_5m_tokens"), tokens("billed_write_1h_tokens")
    return Usage(
        uncached_tokens=tokens("input_tokens") - read - short - long,
        cache_read_tokens=read,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        billing=billing.from_json(str(call["billing"] or "{}")),
    )


def _billed(usage: Usage, predicted: Predicted) -> Usage:
    read = min(predicted.read, usage.input_tokens)
    long = min(predicted.written_1h, usage.input_tokens - read)
    return _split(usage, read, long, min(predicted.written_5m, usage.input_tokens - read - long))


def _split(usage: Usage, read: int, written_1h: int, written_5m: int) -> Usage:
    return replace(
        usage,
        uncached_tokens=usage.input_tokens - read - written_1h - written_5m,
        cache_read_tokens=read,
        cache_write_1h_tokens=written_1h,
        cache_write_5m_tokens=written_5m,
    )
