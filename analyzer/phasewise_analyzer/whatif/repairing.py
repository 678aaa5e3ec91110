"""Rewrite the prompts, simulate them again, and compute what each repair saves: alone and together.

Savings are never added, because repairs influence one another. Each set of repairs is a separate
trace in memory that runs through the same caches as the recorded one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from phasewise_store.store import Store

from phasewise_analyzer.breaks.facts import Finding
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.prefixes.own_tokenizer import Tokenizer
from phasewise_analyzer.whatif import layout
from phasewise_analyzer.whatif.facts import Outcome, Repaired, Repairs
from phasewise_analyzer.whatif.first_token import FirstTokenModel
from phasewise_analyzer.whatif.layout import Laid
from phasewise_analyzer.whatif.prompt_locations import by_agent
from phasewise_analyzer.whatif.repairs import REMEDIES
from phasewise_analyzer.whatif.repricing import Books, outcomes
from phasewise_analyzer.whatif.scenario import Scenario

Tell = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """Under what the re-laid calls are simulated."""

    scenario: Scenario
    books: Books
    waits: FirstTokenModel | None = None
    longest: Scenario | None = None
    """the same with the longest lifetime; None where there is no other"""
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)
    """of the models that read the prompts"""


def repaired(
    calls: Sequence[Laid], findings: Sequence[Finding], wanted: Iterable[Cause]
) -> tuple[Laid, ...]:
    """Apply the remedies of some causes, in the order of the catalogue."""
    chosen = frozenset(wanted)
    laid = tuple(calls)
    for cause, remedy in REMEDIES.items():
        if cause in chosen:
            of_cause = [one for one in findings if one.cause == cause]
            laid = remedy.apply(laid, by_agent(of_cause))
    return laid


def simulated(laid: Sequence[Laid], scenarios: Sequence[Scenario], rules: Rules) -> list[Outcome]:
    """Put calls into a store in memory and ask the caches."""
    with Store.in_memory() as scratch:
        layout.write(scratch, laid)
        requests = Requests(scratch, tokenizers=rules.tokenizers)
        return list(outcomes(requests, scenarios, rules.books, waits=rules.waits))


def repairs(
    calls: Sequence[Laid],
    findings: Sequence[Finding],
    wanted: Iterable[Cause],
    rules: Rules,
    *,
    tell: Tell | None = None,
) -> Repairs:
    """Repair every cause that was found and wanted: alone, one after another, and all at once."""
    found = dict.fromkeys(one.cause for one in findings)
    chosen = [cause for cause in found if cause in frozenset(wanted)]
    unrepaired = tuple(cause.name for cause in found if cause not in REMEDIES)
    total = 2 * len(chosen) + 1

    def said(done: int, label: str) -> None:
        if tell is not None:
            tell(done, total, label)

    alone: dict[Cause, tuple[Outcome, int]] = {}
    for done, cause in enumerate(chosen):
        said(done, f"repairing {cause.name}")
        laid = repaired(calls, findings, [cause])
        changed = sum(one is not other for one, other in zip(calls, laid, strict=True))
        alone[cause] = simulated(laid, [rules.scenario], rules)[0], changed
    order = sorted(chosen, key=lambda cause: _weight(alone[cause][0]))
    rows: list[Repaired] = []
    for done, cause in enumerate(order):
        said(len(chosen) + done, f"adding {cause.name}")
        single, changed = alone[cause]
        added = single
        if done:
            laid = repaired(calls, findings, order[: done + 1])
            added = simulated(laid, [rules.scenario], rules)[0]
        rows.append(_row(cause, findings, changed, single, added))
    if not rows:
        return Repairs((), None, unrepaired)
    longest = None
    if rules.longest is not None:
        said(total - 1, "with the longest lifetime")
        longest = simulated(repaired(calls, findings, order), [rules.longest], rules)[0]
        longest = replace(longest, name=f"all repairs, {rules.longest.name}")
    together = replace(rows[-1].added, name="all repairs")
    return Repairs(tuple(rows), together, unrepaired, longest)


def _row(
    cause: Cause, findings: Sequence[Finding], changed: int, alone: Outcome, added: Outcome
) -> Repaired:
    remedy = REMEDIES[cause]
    return Repaired(
        cause=cause,
        action=remedy.action,
        risk=remedy.risk,
        places=tuple(f"{one.agent} {one.place}".strip() for one in findings if one.cause == cause),
        changed_calls=changed,
        alone=replace(alone, name=f"repair: {cause.name}"),
        added=replace(added, name=f"and {cause.name}"),
    )


def _weight(outcome: Outcome) -> tuple[Decimal, int]:
    """Order by what is paid, and where no price is known by what is read anew."""
    usd = Decimal(0) if outcome.money is None else outcome.money.total_usd
    return usd, outcome.spent.input - outcome.spent.read
