"""Make the tables of a new database from those of another new one, instead of by every migration.

A process that opens many new stores migrates the first one only: the others get its tables as they
stand after the last migration, in one transaction. Tests hold both ways to the same tables.
"""

from collections.abc import Callable

import duckdb

from phasewise_store.statements import run

Migrations = tuple[Callable[[duckdb.DuckDBPyConnection], None], ...]

_MADE: dict[Migrations, str] = {}
"""by what a new database went through: the script that makes its tables at once"""

_TABLES = "SELECT sql FROM duckdb_tables() WHERE NOT internal ORDER BY table_oid"
_OTHERS = """
SELECT (SELECT count(*) FROM duckdb_indexes()) + (SELECT count(*) FROM duckdb_sequences())
    + (SELECT count(*) FROM duckdb_views() WHERE NOT internal)
"""
_VERSIONS = "INSERT INTO schema_migrations (version, name) VALUES "


def make(connection: duckdb.DuckDBPyConnection, migrations: Migrations) -> bool:
    """Make all tables in an empty database; False where none was remembered for these."""
    script = _MADE.get(migrations)
    if script is not None:
        run(connection, script)
    return script is not None


def remember(connection: duckdb.DuckDBPyConnection, migrations: Migrations) -> None:
    """Remember the tables of a database that was empty before these migrations."""
    ((others,),) = run(connection, _OTHERS)
    assert not others, "only tables are remembered"
    versions = (f"({place}, '{one.__name__}')" for place, one in enumerate(migrations, start=1))
    tables = [str(text) for (text,) in run(connection, _TABLES)]
    _MADE[migrations] = "\n".join(
        ["BEGIN;", *tables, f"{_VERSIONS}{', '.join(versions)};", "COMMIT;"]
    )


def forget() -> None:
    """Have the next new database go through every migration."""
    _MADE.clear()
