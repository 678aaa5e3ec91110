"""Print `docs/schema.md` from the migrations: `python -m phasewise_store.schema_page`."""

import re
import sys

from phasewise_store.schema import STATEMENTS

HEAD = """\
# Schema

Printed from the migrations by `python -m phasewise_store.schema_page > docs/schema.md`; a test
holds it true. Times are nanoseconds since the Unix epoch (UTC), durations are nanoseconds, money is
exact. Query it with `phasewise sql`, or open the file with any DuckDB 1.5 or newer.
"""

_TABLE = re.compile(r"CREATE TABLE (\w+) \(\n(.*?)\n\);", re.DOTALL)
_ADDED = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (\w+) (.+?);(?: *(--.*))?")
_COLUMN = re.compile(r"^\s+(?P<name>[a-z]\w*)\s+(?P<type>[A-Z][^-]*?),?\s*(?:--\s*(?P<note>.*))?$")


def markdown() -> str:
    """Return the whole page: every table, its columns, their types and what they mean."""
    tables: dict[str, str] = {}
    for text in STATEMENTS:
        tables |= _TABLE.findall(text)
        for name, column, kind, note in _ADDED.findall(text):
            tables[name] += f"\n    {column} {kind} {note}"
    return "\n".join([HEAD, *(_section(name, body) for name, body in tables.items())])


def _section(name: str, body: str) -> str:
    lines = [f"## {name}", "", "| column | type | |", "|---|---|---|"]
    for line in body.splitlines():
        if (column := _COLUMN.match(line)) is not None:
            note = column["note"] or ""
            lines.append(f"| `{column['name']}` | {column['type'].strip()} | {note} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
