"""The result of a run in one sentence: what changed, by how much, how sure, and how it is known."""

from collections.abc import Sequence

from phasewise_replay.verdicts.verdict import ArmSummary, Control, Fidelity, Metric, Quality


def sentence(
    fidelity: Fidelity,
    metrics: Sequence[Metric],
    control: Control,
    arms: Sequence[ArmSummary],
    answers: Sequence[Quality] = (),
) -> str:
    """Write the sentence; a void run says why it is void, and a noisy one how noisy it was."""
    ran = [arm for arm in arms if arm.status == "ok"]
    if not ran:
        reasons = "; ".join(f"{arm.name}: {arm.reason or arm.status}" for arm in arms)
        return f"No arm ran. {reasons}"
    if not fidelity.passed:
        failed = next(check for check in fidelity.checks if not check.passed)
        return f"Void: {failed.title.lower()}, expected {failed.limit}. {failed.detail}".strip()
    if answers:
        noise, *judged = answers
        return f"Answers, {_percent(noise.exact)} of which the baseline repeats exactly: " + (
            "; ".join(map(_of_answers, judged)) or f"only {noise.arm} ran"
        )
    first = [
        next(metric for metric in metrics if metric.compared == arm.name)
        for arm in ran[1:]
        if any(metric.compared == arm.name for metric in metrics)
    ]
    if not first:
        return f"Only {ran[0].name} ran, so there is nothing to compare it with"
    basis = "simulated" if any(arm.basis == "simulated" for arm in ran) else "measured"
    parts = [_of_arm(metric) for metric in first]
    return f"{'; '.join(parts)} ({basis}, {first[0].sessions} sessions). {_control(control)}"


def _of_arm(metric: Metric) -> str:
    what = f"{metric.compared}: {metric.title.lower()}"
    if metric.ci95 is None:
        return (
            f"{what} changed by {metric.difference:+.3g} {metric.unit}, too few sessions for an "
            "interval"
        )
    low, high = metric.ci95
    if metric.verdict == "too few sessions":
        return (
            f"{what} changed by {metric.difference:+.3g} {metric.unit} (95 % CI {low:+.3g} to "
            f"{high:+.3g}), which {metric.sessions} sessions cannot prove among so many measures"
        )
    if metric.verdict == "no significant difference":
        least = metric.minimum_detectable_effect
        known = "" if least is None else f"; minimum detectable effect {least:.3g} {metric.unit}"
        return (
            f"{what}: no significant difference (95 % CI {low:+.3g} to {high:+.3g} {metric.unit}"
            f"{known})"
        )
    word = "down" if metric.verdict == "lower" else "up"
    size = f"{abs(metric.difference):.3g} {metric.unit}"
    small, large = sorted((abs(low), abs(high)))
    interval = f"95 % CI {small:.3g} to {large:.3g}"
    if metric.ratio is None:
        return f"{what} {word} {size} ({interval})"
    return f"{what} {word} {100 * abs(1 - metric.ratio):.0f} % ({size}, {interval})"


def _of_answers(quality: Quality) -> str:
    words = {True: "passed", False: "FAILED", None: "not judged, too few sessions"}
    same = f"{quality.arm}: {_percent(quality.exact)} as the baseline's"
    tools = quality.same_arguments
    calls = "" if tools is None else f", {_percent(tools)} of the tool calls"
    return f"{same}{calls}; quality gate {words[quality.passed]}"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f} %"


def _control(control: Control) -> str:
    if control.passed is None or not control.metrics:
        return "There was no A/A control."
    if control.passed:
        return "The A/A control shows no significant difference."
    head = next(metric for metric in control.metrics if metric.ci95 is not None)
    return (
        f"The A/A control failed: the baseline differs from itself by {head.difference:+.3g} "
        f"{head.unit}, so the machine was not steady."
    )
