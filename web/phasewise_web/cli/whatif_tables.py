"""The tables that `phasewise whatif` prints."""

from decimal import Decimal
from pathlib import Path

from phasewise_analyzer.whatif.facts import BreakpointPlan, FirstToken, Outcome, Repairs, WhatIf
from phasewise_reports.words import UNKNOWN, count, percent, tokens, usd

from phasewise_web.cli.output import say, stdout, table
from phasewise_web.cli.whatif_export import Exported

COLUMNS = (
    ("rules", False),
    ("cached %", True),
    ("read", True),
    ("written", True),
    ("uncached", True),
    ("input $", True),
    ("output $", True),
    ("total $", True),
    ("saves $", True),
    ("first token s", True),
)


def show(found: WhatIf) -> None:
    """Print all that was simulated."""
    base = found.baseline
    stdout.print(
        f"{found.recorded.calls:,} calls, {found.recorded.input_tokens:,} input and "
        f"{found.recorded.output_tokens:,} output tokens, {usd(found.recorded.total_usd)} $; "
        f"savings are relative to `{base.name}`",
        highlight=False,
    )
    rows = [found.billed, base, *found.others]
    table("", COLUMNS, [_row(one, base) for one in rows])
    _notes(found)
    if found.repairs is not None:
        _repairs(found.repairs, base)
    for plan in found.plans:
        _plan(plan)


def show_export(exported: Exported, db: Path) -> None:
    """Print what was written and the commands that measure it."""
    stdout.print(
        f"stored {exported.calls:,} calls as `{exported.source}`; "
        f"{exported.changed_calls:,} of them changed",
        highlight=False,
    )
    for plan in (exported.before, exported.after):
        share = percent(plan.proof.cached)
        stdout.print(
            f"  phasewise replay {plan.path} --db {db}    # predicted: {share} % cached, "
            f"{plan.proof.cached_tokens:,} of {plan.proof.prompt_tokens:,} tokens",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def money(value: Decimal | None) -> str:
    """Write a difference with its sign."""
    if value is None:
        return UNKNOWN
    return usd(value) if value >= 0 else f"-{usd(-value)}"


def _row(one: Outcome, base: Outcome) -> list[str]:
    paid = one.money
    known = one.cache_known_calls is None or one.cache_known_calls > 0
    return [
        one.name,
        percent(one.cached) if known else UNKNOWN,
        tokens(one.spent.read) if known else UNKNOWN,
        tokens(sum(one.spent.written.values())),
        tokens(one.spent.uncached),
        usd(None if paid is None else paid.input_usd),
        usd(None if paid is None else paid.output_usd),
        usd(None if paid is None else paid.total_usd),
        "" if one is base else money(one.saved_usd(base)),
        _first(one.first_token),
    ]


def _first(found: FirstToken | None) -> str:
    if found is None:
        return UNKNOWN
    return f"{found.mean_s:.2f} ({found.low_s:.2f}-{found.high_s:.2f})"


def _notes(found: WhatIf) -> None:
    base = found.baseline
    if base.unruled_calls:
        say(
            f"note: the cache rules of {base.unruled_calls:,} calls are not known; their own rules "
            "count as no caching"
        )
    if base.unpriced_calls and base.money is not None:
        say(f"note: {base.unpriced_calls:,} calls have no known price; sums in $ leave them out")
    known = found.billed.cache_known_calls
    if known is not None and known < found.billed.calls:
        say(
            f"note: {found.billed.calls - known:,} calls do not report cached tokens; `as billed` "
            "has their tokens as uncached and their $ as their provider's rule would charge"
        )
    if left_out := found.recorded.calls - found.billed.calls:
        say(f"note: {left_out:,} calls came without their prompt and are in no row")


def _repairs(found: Repairs, base: Outcome) -> None:
    if found.repaired:
        table(
            "repaired prompts",
            (
                ("cause", False),
                ("calls changed", True),
                ("cached % alone", True),
                ("saves $ alone", True),
                ("cached % with those above", True),
                ("saves $ with those above", True),
            ),
            [
                [
                    one.cause.name,
                    count(one.changed_calls),
                    percent(one.alone.cached),
                    money(one.alone.saved_usd(base)),
                    percent(one.added.cached),
                    money(one.added.saved_usd(base)),
                ]
                for one in found.repaired
            ],
        )
        for one in found.repaired:
            say(f"{one.cause.name}: {one.action} ({', '.join(one.places[:3])}). Risk: {one.risk}.")
    else:
        say("no breaks that rewriting the prompts can repair")
    whole = [one for one in (found.together, found.together_longest) if one is not None]
    if whole:
        table("all repairs together", COLUMNS, [_row(one, base) for one in whole])
    if found.unrepaired:
        say(f"causes that rewriting prompts cannot repair: {', '.join(found.unrepaired)}")


def _plan(plan: BreakpointPlan) -> None:
    unit = "input $" if plan.in_usd else "input, in uncached tokens"
    rows = [
        ("as sent", "as recorded", plan.sent),
        ("naive", "none", plan.naive),
        ("best", "none: caching does not pay", plan.best),
    ]
    table(
        f"breakpoints of {plan.agent} under {plan.policy}: {plan.tried:,} placements simulated on "
        f"{plan.calls:,} calls",
        (("", False), ("breakpoints", False), ("cached %", True), (unit, True)),
        [
            [
                name,
                ", ".join(f"{where} {life}" for where, life in one.marks) or otherwise,
                percent(one.cached),
                usd(one.cost) if plan.in_usd else tokens(int(one.cost)),
            ]
            for name, otherwise, one in rows
            if one is not None
        ],
    )
    if plan.sent is None:
        say("the trace does not record which breakpoints were sent")
    if plan.left_out_calls:
        say(f"the search left out {plan.left_out_calls:,} calls of the newest sessions")
