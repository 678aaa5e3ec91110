"""Breaks and findings of any scope, added up from the rows that the analysis keeps.

The same facts as `find.find` gives of a whole data set; pages and commands read them here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer.breaks.facts import Break, Breaks, Finding
from phasewise_analyzer.breaks.grouping import monthly_usd, of_template
from phasewise_analyzer.diagnosis.causes import CATALOGUE, Cause

_CAUSES: Mapping[str, Cause] = {one.name: one for one in CATALOGUE}

_WHOLE = """
SELECT
    coalesce(sum(c.prompt_calls), 0)::BIGINT AS calls,
    coalesce(sum(c.input_tokens), 0)::BIGINT AS input_tokens,
    sum(c.prefill_usd) AS prefill_usd,
    coalesce(sum(c.deep_calls), 0)::BIGINT AS deep_breaks,
    coalesce(sum(c.wasted_tokens), 0)::BIGINT AS wasted_tokens,
    sum(c.wasted_usd) AS wasted_usd,
    coalesce(sum(c.diagnosed_calls), 0)::BIGINT AS diagnosed_calls,
    coalesce(sum(c.agreed_calls), 0)::BIGINT AS agreed_calls,
    (max(c.last_prompt_ns) - min(c.first_prompt_ns)) / 1e9 AS span_s
FROM cells c
WHERE {condition}
"""
_IN_SCOPE = "FROM breaks b WHERE b.cell_id IN (SELECT c.cell_id FROM cells c WHERE {condition})"
_DEAREST_FIRST = "coalesce(lost_usd, 0) DESC, lost_tokens DESC"
_FINDINGS = f"""
SELECT
    count(*) AS calls,
    count(DISTINCT b.session_id) AS sessions,
    sum(b.lost_tokens)::BIGINT AS lost_tokens,
    sum(b.lost_usd) AS lost_usd,
    arg_max(b.rowid, (coalesce(b.lost_usd, 0), b.lost_tokens, -b.ordinal)) AS dearest
{_IN_SCOPE}
GROUP BY b.agent, b.tier, b.template, b.cause
ORDER BY coalesce(sum(b.lost_usd), 0) DESC, lost_tokens DESC, min(b.ordinal)
"""
# rows are found by narrow columns first: texts of all breaks are not to be read for a page of them
_ROWS = """
SELECT *, rowid
FROM breaks
WHERE rowid IN (SELECT unnest($rows))
"""
_COLUMNS = (
    *("call_id", "session_id", "agent", "model", "step", "after_call_id", "gap_s", "tier"),
    *("place", "before", "after", "expected_tokens", "shared_tokens", "read_tokens"),
    *("lost_tokens", "lost_usd", "provider_says"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which breaks of a scope are listed; a field that is None does not choose."""

    finding: Finding | None = None
    cause: str | None = None
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """Some breaks, dearest first."""

    there: int
    """how many there are in all"""
    causes: tuple[Cause, ...]
    """that occur among all of them"""
    breaks: tuple[Break, ...]


def summary(store: Store, scope: Scope = EVERYTHING) -> Breaks:
    """Return what the breaks of a scope add up to, with its findings and no single breaks."""
    condition, parameters = scope.of_cells()
    whole = store.frame(_WHOLE.format(condition=condition), parameters).row(0, named=True)
    span_s = whole.pop("span_s")
    found = store.frame(_FINDINGS.format(condition=condition), parameters)
    examples = _rows(store, found["dearest"].to_list())
    wasted, input_tokens = whole["wasted_tokens"], whole["input_tokens"]
    return Breaks(
        **whole,
        findings=tuple(
            Finding(
                agent=example.agent,
                cause=example.cause,
                tier=example.tier,
                place=of_template(example.place),
                calls=row["calls"],
                sessions=row["sessions"],
                lost_tokens=row["lost_tokens"],
                lost_usd=row["lost_usd"],
                usd_a_month=monthly_usd(row["lost_usd"], span_s),
                example=example,
            )
            for row, example in zip(found.iter_rows(named=True), examples, strict=True)
        ),
        breaks=(),
        waste=min(1.0, wasted / input_tokens) if input_tokens else 0.0,
    )


def breaks(store: Store, scope: Scope = EVERYTHING) -> tuple[Break, ...]:
    """Return all breaks in scope, in order of arrival."""
    condition, parameters = scope.of_cells()
    query = f"SELECT b.* {_IN_SCOPE.format(condition=condition)} ORDER BY b.ordinal"
    return tuple(_break(row) for row in store.frame(query, parameters).iter_rows(named=True))


def listed(store: Store, scope: Scope, choice: Choice, *, limit: int, offset: int = 0) -> Listed:
    """Return one page of the chosen breaks, dearest first."""
    condition, parameters = scope.of_cells()
    chosen, values = _where(choice)
    where = f"{_IN_SCOPE.format(condition=condition)} AND {chosen}"
    causes = store.frame(
        "SELECT b.cause, count(*) AS there, max(coalesce(b.lost_usd, 0)) AS usd, "
        f"max(b.lost_tokens) AS tokens {where} GROUP BY b.cause "
        "ORDER BY usd DESC, tokens DESC, cause",
        parameters | values,
    )
    rows = store.frame(
        f"SELECT b.rowid {where} ORDER BY {_DEAREST_FIRST}, b.ordinal "
        f"LIMIT {int(limit)} OFFSET {int(offset)}",
        parameters | values,
    )
    return Listed(
        there=int(causes["there"].sum()),
        causes=tuple(_CAUSES[name] for name in causes["cause"]),
        breaks=_rows(store, rows["rowid"].to_list()),
    )


def _rows(store: Store, rows: Sequence[int]) -> tuple[Break, ...]:
    """Return the breaks in these rows, in their order."""
    found = store.frame(_ROWS, {"rows": list(rows)})
    made = {row["rowid"]: _break(row) for row in found.iter_rows(named=True)}
    return tuple(made[row] for row in rows)


def _where(choice: Choice) -> tuple[str, dict[str, object]]:
    terms: dict[str, object] = {"cause": choice.cause, "tier": choice.tier}
    clauses = [f"b.{name} = $only_{name}" for name, value in terms.items() if value is not None]
    values = {f"only_{name}": value for name, value in terms.items() if value is not None}
    if choice.finding is not None:
        finding = choice.finding
        values |= {
            "of_agent": finding.agent,
            "of_cause": finding.cause.name,
            "of_tier": finding.tier,
            "of_template": finding.place,
        }
        clauses += [
            "b.agent IS NOT DISTINCT FROM $of_agent",
            "b.cause = $of_cause",
            "b.tier = $of_tier",
            "b.template = $of_template",
        ]
    return " AND ".join(clauses) or "TRUE", values


def _break(row: Mapping[str, object]) -> Break:
    facts = {name: row[name] for name in _COLUMNS}
    return Break(cause=_CAUSES[str(row["cause"])], **facts)  # type: ignore[arg-type]  # columns of the table
