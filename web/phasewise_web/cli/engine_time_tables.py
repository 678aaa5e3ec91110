"""The tables of engine time and of lone steps that `compare` and `replay` print."""

from phasewise_replay.verdicts.time_facts import EngineTime, LoneStep
from phasewise_replay.verdicts.verdict import Verdict
from phasewise_reports.words import count, percent, short, usd

from phasewise_web.cli.output import stdout, table

TIME_COLUMNS = (
    ("arm", False),
    ("GPU", False),
    ("prefill s", True),
    ("band s", True),
    ("decode s", True),
    ("mixed s", True),
    ("idle %", True),
    ("prefill $", True),
    ("decode $", True),
    ("mixed $", True),
)
STEP_COLUMNS = (
    ("arm", False),
    ("step", False),
    ("new", True),
    ("cached", True),
    ("batch", True),
    ("context", True),
    ("samples", True),
    ("s", True),
    ("range s", True),
    ("roofline s", True),
    ("", False),
)


def print_times(verdict: Verdict) -> None:
    """Print both tables, each only where the run has rows for it."""
    if verdict.engine_time:
        first = verdict.engine_time[0]
        table(
            "engine time per session, by phase", TIME_COLUMNS, list(map(_time, verdict.engine_time))
        )
        methods = "; ".join(dict.fromkeys(one.method for one in verdict.engine_time))
        _note(f"  GPU-seconds from {methods} ({first.basis})")
        if any(one.filling_s for one in verdict.engine_time):
            parts = ", ".join(f"{one.arm} {short(one.filling_s)} s" for one in verdict.engine_time)
            _note(f"  filling the cache before a session, in none of these: {parts}")
        if first.usd_hour is not None:
            low, middle, high = map(usd, first.usd_hour)
            _note(
                f"  dollars at {middle} per GPU-hour ({low} to {high}; {first.price_source}); your "
                "own price: --gpu-usd-hour"
            )
    if verdict.lone_steps:
        table("lone steps", STEP_COLUMNS, list(map(_step, verdict.lone_steps)))


def _note(text: str) -> None:
    stdout.print(text, highlight=False, markup=False, soft_wrap=True)


def _time(time: EngineTime) -> list[str]:
    return [
        time.arm,
        f"{time.gpus} of {time.gpu}" if time.gpus > 1 else time.gpu or "none",
        short(time.prefill_s),
        " to ".join(map(short, time.prefill_band_s)),
        short(time.decode_s),
        short(time.mixed_s),
        percent(time.idle_share),
        usd(time.prefill_usd),
        usd(time.decode_usd),
        usd(time.mixed_usd),
    ]


def _step(step: LoneStep) -> list[str]:
    sizes = (step.new_tokens, step.cached_tokens, step.batch, step.context_tokens, step.samples)
    return [
        step.arm,
        step.kind,
        *map(count, sizes),
        short(step.measured_s),
        f"{short(step.low_s)} to {short(step.high_s)}",
        short(step.prior_s),
        "" if step.as_designed else "found fewer tokens cached than designed",
    ]
