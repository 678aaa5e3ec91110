"""What is measured per session: an engine that does not report a time has none."""

from dataclasses import asdict

import polars as pl
from phasewise_replay.verdicts import measures
from polars import selectors

from tests.replay.test_service import call


def values(decode_ns: int | None = None, output_tokens: int = 11) -> dict[str, object]:
    """Return the measures of a session of two calls of a second, two seconds apart."""
    calls = [
        call(f"s.{sent}", sent, decode_ns=decode_ns, output_tokens=output_tokens)
        for sent in (0, 3000)
    ]
    frame = pl.DataFrame([asdict(one) for one in calls], infer_schema_length=None)
    frame = frame.with_columns(selectors.by_dtype(pl.Null).cast(pl.Int64), half=0)
    return measures.of_sessions(frame).row(0, named=True)


def test_completion_is_from_the_first_call_to_the_last_answer() -> None:
    """Tool time in between counts; model time is without it."""
    found = values()
    assert (found["completion_s"], found["duration_s"]) == (4.0, 2.0)


def test_an_engine_without_decode_times_has_no_time_per_token() -> None:
    """Not zero, as two such engines were compared at."""
    assert values()["tpot_ms"] is None
    assert values(decode_ns=10**9)["tpot_ms"] == 100
    assert values(decode_ns=10**9, output_tokens=1)["tpot_ms"] is None
