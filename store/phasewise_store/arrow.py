"""The bridge between DuckDB and polars: Arrow's C stream, which both speak, without pyarrow."""

from dataclasses import dataclass

import duckdb
import polars as pl


@dataclass(frozen=True, slots=True)
class ArrowTable:
    """A frame as DuckDB scans it. A bare polars frame goes through pyarrow there."""

    frame: pl.DataFrame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give a new stream of the whole frame; DuckDB takes one to plan and one to read."""
        return self.frame.__arrow_c_stream__(requested_schema)


def to_frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Run the relation's query to its end."""
    return pl.DataFrame(relation)
