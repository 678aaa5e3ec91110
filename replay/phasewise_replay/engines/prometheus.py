"""Read the Prometheus text that an engine serves at `/metrics`.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a metric with its labels and its value now."""

    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


def parse(text: str) -> list[Sample]:
    """Read every sample; comments and lines of another shape are left out."""
    found = (_SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#"))
    return [
        Sample(match["name"], float(match["value"]), _labels(match["labels"] or ""))
        for match in found
        if match is not None
    ]


def total(samples: Iterable[Sample], name: str) -> float | None:
    """Sum a metric over its labels (engines, ranks); None when it is not there."""
    values = [sample.value for sample in samples if sample.name == name]
    return sum(values) if values else None


def labels_of(samples: Iterable[Sample], name: str) -> dict[str, str]:
    """Return the labels of an info metric; empty when it is not there."""
    return next((sample.labels for sample in samples if sample.name == name), {})


def _labels(text: str) -> dict[str, str]:
    return {
        name: re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), value)
        for name, value in _LABEL.findall(text)
    }
