"""The headline: one sentence that names the change, its size, its interval and its basis."""

import pytest
from phasewise_replay.verdicts import headline
from phasewise_replay.verdicts.verdict import ArmSummary, Control, Fidelity, Judgement, Metric

PASSED = Fidelity(passed=True, checks=())
NO_CONTROL = Control((), None)


def metric(
    difference: float, ci95: tuple[float, float] | None, verdict: Judgement, *, baseline: float
) -> Metric:
    """Make a headline measure of the arm `cached`."""
    return Metric(
        name="prefill_s",
        title="Prefill time per session",
        unit="s",
        compared="cached",
        baseline=baseline,
        arm=baseline + difference,
        difference=difference,
        ci95=ci95,
        ratio=(baseline + difference) / baseline if baseline else None,
        sessions=12,
        p_value=0.001,
        adjusted_p=0.004,
        minimum_detectable_effect=0.1,
        verdict=verdict,
    )


def arm(name: str, place: int) -> ArmSummary:
    """Make an arm that ran."""
    return ArmSummary(name, place, "vllm", "m", "measured", "ok", None, {}, 24, 0, 0.5)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (
            metric(-0.596, (-0.768, -0.334), "lower", baseline=0.718),
            "prefill time per session down 83 % (0.596 s, 95 % CI 0.334 to 0.768)",
        ),
        (
            metric(0.1, (0.05, 0.15), "higher", baseline=1.0),
            "prefill time per session up 10 % (0.1 s, 95 % CI 0.05 to 0.15)",
        ),
        (
            metric(0.1, (0.05, 0.15), "higher", baseline=0.0),
            "prefill time per session up 0.1 s (95 % CI 0.05 to 0.15)",
        ),
        (
            metric(0.01, (-0.02, 0.04), "no significant difference", baseline=1.0),
            "prefill time per session: no significant difference (95 % CI -0.02 to +0.04 s; "
            "minimum detectable effect 0.1 s)",
        ),
        (
            metric(0.3, (0.1, 0.5), "too few sessions", baseline=1.0),
            "prefill time per session changed by +0.3 s (95 % CI +0.1 to +0.5), which 12 sessions "
            "cannot prove among so many measures",
        ),
        (
            metric(0.01, None, "too few sessions", baseline=1.0),
            "prefill time per session changed by +0.01 s, too few sessions for an interval",
        ),
    ],
)
def test_the_headline_says_what_changed_by_how_much_and_how_sure(found: Metric, says: str) -> None:
    """Direction in percent, the difference in its unit, and the confidence interval."""
    arms = [arm("baseline", 0), arm("cached", 1)]
    sentence = headline.sentence(PASSED, [found], NO_CONTROL, arms)
    assert sentence == f"cached: {says} (measured, 12 sessions). There was no A/A control."


def test_a_failed_control_is_named_in_the_headline() -> None:
    """The baseline's difference from itself, in its unit."""
    found = metric(-0.5, (-0.6, -0.4), "lower", baseline=1.0)
    control = Control((metric(0.2, (0.1, 0.3), "higher", baseline=1.0),), passed=False)
    sentence = headline.sentence(PASSED, [found], control, [arm("a", 0), arm("cached", 1)])
    assert sentence.endswith(
        "The A/A control failed: the baseline differs from itself by +0.2 s, so the machine was "
        "not steady."
    )
