"""A kept flame tree as JSON and back; money stays exact as text."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson

from phasewise_analyzer.flame.facts import Frame, Width
from phasewise_analyzer.flame.kept_tree import KeptFrame, KeptTree
from phasewise_analyzer.flame.places import Place, Start


def written(tree: KeptTree) -> bytes:
    """Write a tree."""
    return orjson.dumps(asdict(tree), default=str)


def read(text: bytes) -> KeptTree:
    """Read a tree that `written` wrote."""
    fields = orjson.loads(text)
    frames = tuple(
        KeptFrame(_frame(one["frame"]), one["agents"], one["left_out"])
        for one in fields.pop("frames")
    )
    roles = tuple(fields.pop("roles"))
    return KeptTree(frames=frames, roles=roles, **fields)


def _frame(fields: dict[str, Any]) -> Frame:
    first, last, start = fields["first"], fields["last"], fields["start"]
    return Frame(
        **fields
        | {
            "agents": tuple(fields["agents"]),
            "first": first and Place(**first),
            "last": last and Place(**last),
            "start": start and Start(**start),
            "own": _width(fields["own"]),
            "below": _width(fields["below"]),
        }
    )


def _width(fields: dict[str, Any]) -> Width:
    read: dict[str, Any] = {
        name: Decimal(one) if isinstance(one, str) else one for name, one in fields.items()
    }
    return Width(**read)
