"""The schema page: as printed, and complete."""

from pathlib import Path

from phasewise_store.schema_page import markdown
from phasewise_store.store import Store

PAGE = Path(__file__).resolve().parents[2] / "docs" / "schema.md"


def test_the_committed_page_is_what_the_migrations_print() -> None:
    """`docs/schema.md` is printed by `python -m phasewise_store.schema_page`."""
    assert PAGE.read_text() == markdown()


def test_every_column_of_a_real_database_stands_on_the_page(store: Store) -> None:
    """What `SHOW ALL TABLES` gives and the page cannot drift apart."""
    page = markdown()
    columns = store.frame(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_name <> 'schema_migrations'"
    )
    for table, column in columns.iter_rows():
        section = page.split(f"## {table}\n")[1].split("\n## ")[0]
        assert f"| `{column}` |" in section
