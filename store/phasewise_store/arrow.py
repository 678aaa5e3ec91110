"""The bridge between DuckDB and polars: Arrow's C stream, which both speak, without pyarrow."""

from dataclasses import dataclass

import duckdb
import polars as pl


@dataclass(frozen=True, slots=True)
class ArrowTable:
    """A frame as DuckDB scans it. A bare polars frame goes through pyarrow there."""

    frame: pl.DataFrame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a new stream of the whole frame; DuckDB takes one to plan and one to read."""
        schema = self.frame.schema
        untyped = pl.Schema(
            {name: _typed(dtype) for name, dtype in schema.items() if _typed(dtype) != dtype}
        )
        return self.frame.cast(untyped).__arrow_c_stream__(requested_schema)


def _typed(dtype: pl.DataType) -> pl.DataType:
    """Return the type of a column of nulls: text, which DuckDB casts to that of the target.

    DuckDB 2.0.1 refuses Arrow's null type: "a non-zero null count but no validity bitmap".
    """
    if isinstance(dtype, pl.Null):
        return pl.String()
    if isinstance(dtype, pl.List):
        assert isinstance(dtype.inner, pl.DataType)  # a frame's types are instances
        return pl.List(_typed(dtype.inner))
    return dtype


def to_frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Run the relation's query to its end."""
    return pl.DataFrame(relation)
