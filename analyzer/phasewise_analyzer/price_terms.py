"""The effect of a service tier, fast mode or region on a price: dated rows of `price_terms.yaml`.

A call with a term that is not in the table has no price, with the reason: the ordinary price would
be wrong by an unknown factor.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cache
from importlib import resources

import yaml
from phasewise_store.facts import Billing

ORDINARY_TIERS = frozenset({"", "default", "standard", "auto", "on_demand", "none", "null"})
"""names of the tier that the ordinary list prices"""
ORDINARY_SPEEDS = frozenset({"", "standard", "normal"})
ORDINARY_REGIONS = frozenset({"", "global", "not_available"})


@dataclass(frozen=True, slots=True)
class Term:
    """One row of the table."""

    seller: str
    term: str
    models: tuple[str, ...]
    since: date
    factor: Fraction
    source: str
    """the page that says so"""
    read: date


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one call."""

    factor: Fraction = Fraction(1)
    """of every rate per token"""
    names: tuple[str, ...] = ()
    """the terms that are in the factor"""
    unknown: tuple[str, ...] = ()
    """terms that no row knows for this seller and model on that day"""


def terms_of(billing: Billing, price_ref: str, at_ns: int | None) -> Terms:
    """Return the terms of a call whose ordinary price is `seller/model` of the list."""
    asked = list(_asked(billing))
    if not asked:
        return Terms()
    seller, _, model = price_ref.partition("/")
    day = date.max if at_ns is None else datetime.fromtimestamp(at_ns / 10**9, UTC).date()
    factor = Fraction(1)
    known: list[str] = []
    unknown: list[str] = []
    for term in asked:
        row = _row(seller, term, model, day)
        if row is None:
            unknown.append(term)
            continue
        factor *= row.factor
        known.append(term)
    return Terms(factor, tuple(known), tuple(unknown))


@cache
def table() -> tuple[Term, ...]:
    """Read the table."""
    text = resources.files("phasewise_analyzer").joinpath("price_terms.yaml").read_text("utf-8")
    return tuple(
        Term(
            seller=row["seller"],
            term=row["term"],
            models=tuple(row["models"]),
            since=row["since"],
            factor=Fraction(row["factor"]),
            source=row["source"],
            read=row["read"],
        )
        for row in yaml.safe_load(text)
    )


def _asked(billing: Billing) -> list[str]:
    tier, speed, region = (
        (one or "").lower() for one in (billing.service_tier, billing.speed, billing.region)
    )
    found = [] if tier in ORDINARY_TIERS else [tier]
    found += [] if speed in ORDINARY_SPEEDS else [speed]
    return found + ([] if region in ORDINARY_REGIONS else [f"region {region}"])


def _row(seller: str, term: str, model: str, day: date) -> Term | None:
    rows = [
        row
        for row in table()
        if row.seller == seller
        and row.term == term
        and row.since <= day
        and any(fnmatchcase(model, pattern) for pattern in row.models)
    ]
    return max(rows, key=lambda row: row.since, default=None)
