"""Run a read-only SQL query over the store; `docs/schema.md` lists the tables."""

import argparse

import duckdb
from phasewise_store.errors import StoreError, UsageError

from phasewise_web.cli.output import print_json, table

NAME = "sql"

NUMERIC = ("INT", "DOUBLE", "DECIMAL", "FLOAT")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the query and --json."""
    parser.add_argument("query", metavar="QUERY", help="one SELECT")
    parser.add_argument("--json", action="store_true", help="print JSON: a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """Open the file for reading only, with no way out to other files, and print the rows."""
    if not arguments.db.is_file():
        raise UsageError(f"there is no database `{arguments.db}`; name one with --db")
    try:
        with duckdb.connect(str(arguments.db), read_only=True) as connection:
            connection.execute("SET enable_external_access = false").fetchall()
            connection.execute("SET lock_configuration = true").fetchall()
            found = connection.sql(arguments.query)
            columns = [] if found is None else found.columns
            types = [] if found is None else list(map(str, found.types))
            rows = [] if found is None else found.fetchall()
    except duckdb.IOException as error:
        raise StoreError(f"`{arguments.db}` cannot be read now: {error}") from error
    except duckdb.Error as error:
        raise UsageError(str(error)) from error
    if arguments.json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        headers = [
            (name, any(kind in one for kind in NUMERIC))
            for name, one in zip(columns, types, strict=True)
        ]
        table("", headers, [[_cell(value) for value in row] for row in rows])
    return 0


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
