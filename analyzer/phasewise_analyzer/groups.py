"""The groups in which calls are compared with each other: file, session, agent, model."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from phasewise_store.store import Store

By = Literal["file", "session", "agent", "model"]

_COLUMNS: dict[By, str] = {
    "file": "path",
    "session": "session_id",
    "agent": "agent",
    "model": "model",
}


def numbered(store: Store, calls: pl.DataFrame, by: By) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return each call's group as a number, and the groups' names in the order of first calls.

    A file is named by its path.
    """
    if by == "file":
        paths = store.frame("SELECT source_id, path FROM sources")
        calls = calls.join(paths, on="source_id", how="left", maintain_order="left")
    labels = calls[_COLUMNS[by]].fill_null("unknown")
    keys: list[str] = labels.unique(maintain_order=True).to_list()
    numbers = {key: number for number, key in enumerate(keys)}
    return np.array([numbers[key] for key in labels], dtype=np.int64), keys
