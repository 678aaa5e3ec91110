"""The result of a run in one sentence: what changed, by how much, how sure, and how it is known."""

from collections.abc import Sequence

from phasewise_replay.verdict import ArmSummary, Control, Fidelity, Metric


def sentence(
    fidelity: Fidelity,
    metrics: Sequence[Metric],
    control: Control,
    arms: Sequence[ArmSummary],
) -> str:
    """Say it; a void run says why it is void, and a noisy one how noisy."""
    ran = [arm for arm in arms if arm.status == "ok"]
    if not ran:
        reasons = "; ".join(f"{arm.name}: {arm.reason or arm.status}" for arm in arms)
        return f"nothing was measured. {reasons}"
    if not fidelity.passed:
        failed = next(check for check in fidelity.checks if not check.passed)
        return f"void: {failed.title.lower()}, wanted {failed.limit}. {failed.detail}".strip()
    first = [
        next(metric for metric in metrics if metric.compared == arm.name)
        for arm in ran[1:]
        if any(metric.compared == arm.name for metric in metrics)
    ]
    if not first:
        return f"{ran[0].name} ran alone: there is nothing to compare it with"
    basis = "simulated" if any(arm.basis == "simulated" for arm in ran) else "measured"
    parts = [_of_arm(metric) for metric in first]
    return f"{'; '.join(parts)} ({basis}, {first[0].sessions} sessions). {_control(control)}"


def _of_arm(metric: Metric) -> str:
    what = f"{metric.compared}: {metric.title.lower()}"
    if metric.ci95 is None:
        return f"{what} differs by {metric.difference:+.3g} {metric.unit}, with too few sessions"
    low, high = metric.ci95
    if metric.verdict == "no difference shown":
        return (
            f"{what}: no difference shown (95 % interval {low:+.3g} to {high:+.3g} {metric.unit})"
        )
    word = "less" if metric.verdict == "lower" else "more"
    share = ""
    if metric.ratio is not None:
        share = f", {abs(1 - metric.ratio):.0%} {word}"
    small, large = sorted((abs(low), abs(high)))
    return (
        f"{what} {abs(metric.difference):.3g} {metric.unit} {word} "
        f"(95 % interval {small:.3g} to {large:.3g}){share}"
    )


def _control(control: Control) -> str:
    if control.passed is None or not control.metrics:
        return "There was no A/A control."
    if control.passed:
        return "The A/A control shows no difference."
    head = next(metric for metric in control.metrics if metric.ci95 is not None)
    return (
        f"Mind the A/A control: the baseline differs from itself by {head.difference:+.3g} "
        f"{head.unit}, so the machine was not steady."
    )
