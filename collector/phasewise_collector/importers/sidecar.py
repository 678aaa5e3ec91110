"""The small file next to a session's: Claude Code's `agent-ID.meta.json` names the agent."""

from pathlib import Path

import orjson

_LINES = ".jsonl"
_ABOUT = ".meta.json"


def beside(path: Path) -> Path | None:
    """Return the file that describes this one, where there is one."""
    stem = path.name.partition(_LINES)[0]
    about = path.with_name(stem + _ABOUT)
    return about if _LINES in path.name and about.is_file() else None


def is_one(path: Path) -> bool:
    """Return whether this file only describes another one that is there."""
    if not path.name.endswith(_ABOUT):
        return False
    return path.with_name(path.name.removesuffix(_ABOUT) + _LINES).is_file()


def text(path: Path, field: str) -> str | None:
    """Return a text that the file beside this one says of it."""
    about = beside(path)
    if about is None:
        return None
    try:
        fields = orjson.loads(about.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    value = fields.get(field) if isinstance(fields, dict) else None
    return value if isinstance(value, str) and value else None
