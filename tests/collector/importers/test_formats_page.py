"""docs/importing.md names every format that an import reads."""

import re
from pathlib import Path

from phasewise_collector.importers.detect import IMPORTERS

PAGE = Path(__file__).parents[3] / "docs" / "importing.md"


def test_every_format_has_its_row() -> None:
    """With the data set that `--source` takes, where that has another name."""
    rows = re.findall(
        r"^\| `([a-z][a-z0-9-]*)`(?: \(`([a-z0-9-]+)`)?", PAGE.read_text(), re.MULTILINE
    )
    assert {name for name, _ in rows} == set(IMPORTERS)
    for name, source in rows:
        assert (source or name).startswith(IMPORTERS[name].SOURCE)
