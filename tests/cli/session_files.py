"""Files of many Claude Code sessions, for imports that something ends half-way."""

import random
import re
from pathlib import Path

SESSION = (
    Path(__file__).parents[1] / "cases/first/claude-code-grown/2-after"
    "/11111111-0000-4000-8000-000000000001.jsonl"
)
CALLS = 2
"""of each session"""


def write_sessions(folder: Path, sessions: int, letters: int = 10) -> Path:
    """Write a file for each session, whose second text has so many letters; give the folder."""
    folder.mkdir()
    chance = random.Random(1)
    recorded = SESSION.read_text()
    for number in range(sessions):
        name = f"11111111-0000-4000-8000-{number:012d}"
        text = chance.randbytes(letters // 2).hex()  # does not get smaller when it is compressed
        made = recorded.replace(SESSION.stem, name).replace('"again"', f'"{text}"')
        (folder / f"{name}.jsonl").write_text(
            re.sub(r'"(msg_|req_|u|a)(\d+)"', rf'"\g<1>{number}-\g<2>"', made)
        )
    return folder
