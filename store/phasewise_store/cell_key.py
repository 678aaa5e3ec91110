"""What the calls of one cell have in common, and the number that stands for it.

A cell is one combination of hour, data set, session, agent, model and labels: all that a question
can tell apart. Rows of findings carry its number, so that they can be added up without the calls.
"""

HOUR_NS = 3_600_000_000_000

KEY: dict[str, str] = {
    "hour": f"c.started_ns // {HOUR_NS}",
    "source": "s.name",
    "session_id": "c.session_id",
    "agent": "a.name",
    "provider": "c.provider",
    "model": "c.model",
    "user_id": "c.user_id",
    "customer": "c.customer",
    "version": "c.version",
    "tags": "c.tags",
}
"""SQL of each part, over llm_calls c, sources s and agents a"""


def hashed(values: dict[str, str]) -> str:
    """Return the SQL of the number of a cell, from that of its parts."""
    texts = values | {"tags": f"array_to_string({values['tags']}, chr(29))"}
    parts = ", ".join(f"coalesce(({text})::VARCHAR, chr(30))" for text in texts.values())
    return f"md5_number_lower(concat_ws(chr(31), {parts}))"


CELL_ID = hashed(KEY)
"""SQL: the cell of a call, over llm_calls c, sources s and agents a (left)"""
