"""DuckDB and polars over Arrow's C stream: the same values both ways, without pyarrow."""

from datetime import UTC, datetime

import duckdb
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from phasewise_store.arrow import ArrowTable, to_frame
from phasewise_store.statements import insert_frame

SCHEMA = {
    "whole": pl.Int64(),
    "unsigned": pl.UInt64(),
    "real": pl.Float64(),
    "text": pl.String(),
    "bytes": pl.Binary(),
    "truth": pl.Boolean(),
    "moment": pl.Datetime("us", "UTC"),
    "several": pl.List(pl.UInt64()),
}
ROW = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.text(),
    st.none() | st.binary(),
    st.none() | st.booleans(),
    st.none()
    | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(
        lambda moment: moment.replace(tzinfo=UTC)
    ),
    st.none() | st.lists(st.integers(0, 2**64 - 1)),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of a loaded machine
@given(st.lists(ROW, max_size=5))
def test_a_frame_comes_back_from_duckdb_as_it_went(rows: list[tuple[object, ...]]) -> None:
    """Every column type that the store holds, nulls and no rows at all included."""
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'").fetchall()
        connection.register("incoming", ArrowTable(frame))
        back = to_frame(connection.sql("SELECT * FROM incoming"))
    assert back.rows() == frame.rows()
    assert [kind.is_(old) for kind, old in zip(back.dtypes, frame.dtypes, strict=True)]


def test_columns_without_a_type_arrive_as_nulls() -> None:
    """A column of which no value is known has no type in polars; DuckDB takes the target's."""
    frame = pl.DataFrame({"whole": [None], "several": [[None]], "moment": [None], "text": ["x"]})
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE t (whole BIGINT, several UBIGINT[], moment TIMESTAMPTZ, text VARCHAR)"
        ).fetchall()
        insert_frame(connection, "t", frame, "INSERT")
        rows = connection.execute("SELECT whole, several, moment, text FROM t").fetchall()
    assert rows == [(None, [None], None, "x")]


def test_more_rows_than_a_batch_come_back_in_order() -> None:
    """Two hundred thousand rows are several Arrow batches."""
    frame = pl.DataFrame({"n": range(200_000)})
    with duckdb.connect() as connection:
        connection.register("incoming", ArrowTable(frame))
        assert to_frame(connection.sql("SELECT n FROM incoming ORDER BY n")).equals(frame)
