"""What speculation did in a simulation: drafts, acceptance, and what rejected ones cost."""

from collections.abc import Mapping

from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.runs.simulation import Outcome

from phasewise_web.cli.output import say, table


def of(found: Outcome, engine: Deployment, said: Mapping[str, object]) -> dict[str, object]:
    """Return the figures; `said` is how is drafted, and what that stands on."""
    drafted = sum(one.drafted_tokens for one in found.served)
    accepted = sum(one.accepted_tokens for one in found.served)
    decoded = sum(one.output_tokens - 1 for one in found.served)
    steps = decoded - accepted
    return {
        **said,
        "drafted_tokens": drafted,
        "accepted_tokens": accepted,
        "acceptance_rate": accepted / drafted if drafted else None,
        "tokens_per_step": decoded / steps if steps > 0 else None,
        "rejected_gpu_s": sum(one.rejected_s for one in found.served) * engine.tp,
    }


def show(found: Outcome, engine: Deployment, said: Mapping[str, object]) -> None:
    """Print them."""
    figures = of(found, engine, said)
    columns = [
        ("speculation", False),
        ("drafted", True),
        ("accepted", True),
        ("rate", True),
        ("tokens per decode step", True),
        ("rejected GPU-s", True),
    ]
    row = (
        str(figures["config"]),
        f"{figures['drafted_tokens']:,}",
        f"{figures['accepted_tokens']:,}",
        _number(figures["acceptance_rate"], ".1%"),
        _number(figures["tokens_per_step"], ".2f"),
        _number(figures["rejected_gpu_s"], ",.1f"),
    )
    table("", columns, [row])
    say(f"acceptance: {figures['basis']}")


def _number(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, float) else "-"
