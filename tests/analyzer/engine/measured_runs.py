"""Runs that others measured on real GPUs, in ../shared/validation beside the checkout."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

SHARED = Path(__file__).resolve().parents[4] / "shared" / "validation"

FloatArray = npt.NDArray[np.float64]


def folder(name: str) -> Path:
    """Give one set of runs, or skip."""
    path = SHARED / name
    if not path.is_dir():
        pytest.skip(f"needs the measured runs in ../shared/validation/{name} beside the checkout")
    return path


@dataclass(frozen=True)
class Measured:
    """What requests experienced, in seconds."""

    ttft: FloatArray
    tpot: FloatArray
    latency: FloatArray


def vllm_run(path: Path) -> Measured:
    """Read vLLM's own record of a run; arrivals are on another clock than the rest."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    ahead = min(row["queued_ts"] - row["arrival_time"] for row in rows)
    arrival = np.array([row["arrival_time"] + ahead for row in rows])
    first = np.array([row["first_token_ts"] for row in rows])
    last = np.array([row["last_token_ts"] for row in rows])
    output = np.array([row["output_toks"] for row in rows])
    return Measured(first - arrival, (last - first) / (output - 1), last - arrival)
