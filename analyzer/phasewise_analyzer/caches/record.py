"""Read the records of one file, and refuse those that cannot be true; `book` puts them together."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import cast, get_args

from phasewise_store.errors import UsageError

from phasewise_analyzer.caches import yaml_nodes
from phasewise_analyzer.caches.policy import (
    FAMILIES,
    SETTINGS,
    Clock,
    Confidence,
    Family,
    Implicit,
    Isolation,
    Keys,
    Policy,
    Source,
)
from phasewise_analyzer.caches.yaml_nodes import Fields, Value

_ALWAYS: tuple[date | None, date | None] = (None, None)
_NO_NUMBERS: Mapping[str, Decimal] = {}
_NO_SETTINGS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A policy, and the place in the file that errors about it name."""

    policy: Policy
    place: Value

    def wrong(self, text: str) -> UsageError:
        """Make the error about this record."""
        return self.place.wrong(f"record `{self.policy.id}`: {text}")


def parse(text: str, where: str) -> list[Record]:
    """Read `records:`; keys under `shared:` are only there to be pointed at with `*` and `<<`."""
    top = yaml_nodes.document(text, where).fields()
    top.maybe("shared")
    found = [_record(value) for value in top.take("records").items()]
    top.finish()
    return found


def _record(value: Value) -> Record:
    fields = value.fields()
    lifetimes = fields.read("lifetimes_s", _numbers, _NO_NUMBERS)
    first, until = fields.read("effective", _days, _ALWAYS)
    policy = Policy(
        id=fields.take("id").word(),
        providers=_some(fields.take("providers")),
        models=_some(fields.take("models")),
        family=cast(Family, fields.take("family").one_of(FAMILIES)),
        confidence=cast(Confidence, fields.take("confidence").one_of(get_args(Confidence))),
        sources=_sources(fields),
        effective_from=first,
        effective_until=until,
        opt_in=fields.read("opt_in", Value.truth, False),
        min_tokens=fields.read("min_tokens", Value.whole, 0),
        granularity_tokens=fields.read("granularity_tokens", Value.above_zero, 1),
        keeps_answers=fields.read("keeps_answers", Value.truth, False),
        leave_a_token=fields.read("leave_a_token", Value.truth, False),
        unit_interval_tokens=fields.read("unit_interval_tokens", _above_zero, None),
        capacity_tokens=fields.read("capacity_tokens", _above_zero, None),
        max_breakpoints=fields.read("max_breakpoints", _above_zero, None),
        lookback_positions=fields.read("lookback_positions", _above_zero, None),
        latest_breakpoints=fields.read("latest_breakpoints", _above_zero, None),
        implicit_breakpoint=cast(Implicit, _choice(fields, "implicit_breakpoint", Implicit)),
        lifetimes_s={name: float(number) for name, number in lifetimes.items()},
        default_lifetime=fields.read("default_lifetime", _word, None),
        ttl_from=cast(Clock, _choice(fields, "ttl_from", Clock)),
        refresh_on_read=fields.read("refresh_on_read", Value.truth, True),
        keys=fields.read("keys", _keys, Keys()),
        sharding=fields.read("sharding", Value.truth, False),
        isolation=cast(Isolation, fields.take("isolation").one_of(get_args(Isolation))),
        writes_charged=fields.read("writes_charged", Value.truth, False),
        write_multipliers=fields.read("write_multipliers", _numbers, _NO_NUMBERS),
        read_multiplier=fields.read("read_multiplier", _multiplier, None),
        storage_usd_mtok_hour=fields.read("storage_usd_mtok_hour", _number, None),
        best_effort=fields.read("best_effort", Value.truth, False),
        notes=fields.read("notes", Value.word, ""),
    )
    fields.finish()
    record = Record(policy, value)
    _check_dates(record)
    _check_lifetimes(record)
    _check_family(record)
    return record


def _check_dates(record: Record) -> None:
    first, until = record.policy.effective_from, record.policy.effective_until
    if first is not None and until is not None and until <= first:
        raise record.wrong(
            f"`effective` ends on {until}, not after its start ({first}); the second date is the"
            " first day on which the record no longer applies"
        )


def _check_lifetimes(record: Record) -> None:
    policy = record.policy
    named = ", ".join(f"`{name}`" for name in policy.lifetimes_s) or "none"
    if policy.lifetimes_s and policy.default_lifetime is None:
        raise record.wrong(f"`default_lifetime` is missing; name one of {named}")
    if policy.default_lifetime is not None and policy.default_lifetime not in policy.lifetimes_s:
        raise record.wrong(
            f"`default_lifetime` is `{policy.default_lifetime}`, which is not in `lifetimes_s`"
            f" ({named})"
        )
    for name in policy.write_multipliers:
        if name not in policy.lifetimes_s:
            raise record.wrong(
                f"`write_multipliers` names `{name}`, which is not in `lifetimes_s` ({named})"
            )
    if policy.write_multipliers and not policy.writes_charged:
        raise record.wrong("`write_multipliers` needs `writes_charged: true`")
    for name in policy.lifetimes_s if policy.writes_charged else ():
        if name not in policy.write_multipliers:
            raise record.wrong(f"writes are charged, but `write_multipliers` lacks `{name}`")


def _check_family(record: Record) -> None:
    policy = record.policy
    if policy.family == "breakpoint_hash":
        if policy.lookback_positions is None and policy.latest_breakpoints is None:
            raise record.wrong(
                "a breakpoint family needs `lookback_positions` or `latest_breakpoints`; add one"
            )
    elif not policy.refresh_on_read and policy.family != "explicit_objects":
        # a block that is read must outlive the blocks behind it, or these could not be found
        raise record.wrong("`refresh_on_read: false` does not apply to this family")
    if policy.family == "explicit_objects" and not policy.opt_in:
        raise record.wrong("explicit objects need `opt_in: true`")


def _sources(fields: Fields) -> tuple[Source, ...]:
    listed = fields.maybe("sources")
    if listed is None:
        raise fields.wrong("a record needs a source: `sources: [{url: …, seen: 2026-11-23}]`")
    found = tuple(_source(one) for one in listed.items())
    if not found:
        raise listed.wrong("a record needs at least one source: `{url: …, seen: 2026-11-23}`")
    return found


def _source(value: Value) -> Source:
    fields = value.fields()
    address = fields.take("url")
    if not address.word().startswith(("https://", "http://")):
        raise address.wrong(f"`{address.word()}` is not a URL; it must start with https://")
    source = Source(address.word(), fields.take("seen").day(), fields.read("says", Value.word, ""))
    fields.finish()
    return source


def _days(value: Value) -> tuple[date | None, date | None]:
    """Take `[first day, first day on which it no longer holds]`; null is open."""
    both = value.items()
    if len(both) != 2:
        raise value.wrong("must be two dates, e.g. `[2026-10-07, null]`")
    first, until = (None if one.empty() else one.day() for one in both)
    return first, until


def _keys(value: Value) -> Keys:
    fields = value.fields()
    tiers = [fields.read(tier, _settings, _NO_SETTINGS) for tier in ("tools", "system", "messages")]
    fields.finish()
    return Keys(*tiers)


def _settings(value: Value) -> tuple[str, ...]:
    return tuple(one.one_of(SETTINGS) for one in value.items())


def _numbers(value: Value) -> Mapping[str, Decimal]:
    return {name: one.number() for name, one in value.fields().rest()}


def _some(value: Value) -> tuple[str, ...]:
    found = value.words()
    if not found:
        raise value.wrong("must have at least one entry")
    return found


def _multiplier(value: Value) -> Decimal | None:
    """Take what a read costs as a share of the input price."""
    found = value.number()
    if found > 1:
        raise value.wrong(
            f"a read at {found} times the input price costs more than without a cache; the"
            " multiplier must be at most 1"
        )
    return found


def _choice(fields: Fields, name: str, kind: object) -> str:
    """Take one of the words of a Literal; its first is the default."""
    allowed = get_args(kind)
    found = fields.maybe(name)
    return str(allowed[0]) if found is None else found.one_of(allowed)


def _above_zero(value: Value) -> int | None:
    return value.above_zero()


def _number(value: Value) -> Decimal | None:
    return value.number()


def _word(value: Value) -> str | None:
    return value.word()
