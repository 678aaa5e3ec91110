"""OpenCode's sessions: its storage folder, its database, and what `opencode export` prints.

Storage (until early 2026) is a file per message (`storage/message/SESSION/MESSAGE.json`), per part
(`storage/part/MESSAGE/`) and per session (`storage/session/PROJECT/`): an answer's file is one
call, and the others are read along with it. The database (`opencode.db`, SQLite) has the same in
tables, since version 2 in `session_message`. A session with a parent is a sub-agent of it. System
prompt and tool schemas are not recorded.
Source: https://github.com/sst/opencode, packages/opencode/src/session.
"""

import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from phasewise_store.facts import Batch, Source

from phasewise_collector.importers import names
from phasewise_collector.importers.documents import has_keys, read_roots
from phasewise_collector.importers.fields import BadRecordError, Record, items, record, text
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.json_text import BadJsonError, parse
from phasewise_collector.importers.opencode_messages import Message, whole, with_parts
from phasewise_collector.importers.opencode_sessions import Facts, Info

FORMAT = "opencode"
SOURCE = "opencode"
_DATABASE = b"SQLite format 3\0"
_TABLES = (b"session_message", b"`message`", b'"message"', b"opencode")
_REMEMBERED_FOLDERS = 8


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the file is a part of OpenCode's storage, its database or an export."""
    if head.startswith(_DATABASE):
        return path.name.startswith("opencode") or any(name in head for name in _TABLES)
    return (
        has_keys(head, b"{", ("sessionID", "role", "time"))  # a message
        or has_keys(head, b"{", ("sessionID", "messageID", "type"))  # a part
        or has_keys(head, b"{", ("projectID", "directory", "version", "time"))  # a session
        or has_keys(head, b"{", ("info", "messages", "parts"))
        or has_keys(head, b"{", ("info", "directory", "projectID"))
    )


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the sessions of the file, or the one call whose message it is."""
    source = Source(trace.source_id, SOURCE, FORMAT, str(trace.path))
    if trace.data.startswith(_DATABASE):
        yield from _database(trace.path, source)
        return
    for part in read_roots(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        document, root = part
        try:
            if isinstance(root.get("messages"), list):
                yield from _export(root, source)
            elif "role" in root:
                yield from _stored_message(root, trace.path, source)
        except BadRecordError as error:
            yield document.skip(error)


def _export(root: Record, source: Source) -> Iterator[Batch | Skipped | Note]:
    """Read what `opencode export` prints."""
    info = _info(record(root.get("info"), "`info`"))
    facts = Facts(source, {info.session_id: info})
    messages: list[Message] = []
    for place, value in enumerate(items(root, "messages")):
        try:
            fields = record(value, "the message")
            parts = [record(part, "a part") for part in items(fields, "parts")]
            messages.append(with_parts(record(fields.get("info"), "`info`"), parts))
        except BadRecordError as error:
            yield Skipped(None, f"`messages[{place}]`: {error}")
    facts.add(info.session_id, messages)
    yield from facts.batches()


def _stored_message(root: Record, path: Path, source: Source) -> Iterator[Batch | Note]:
    """Read the call of one message's file, with the conversation that lies beside it."""
    if root["role"] != "assistant":
        return
    session_id, message_id = text(root, "sessionID"), text(root, "id")
    folder = path.resolve().parent
    own = with_parts(root, _parts(folder, message_id))
    beside = _stored_session(folder, session_id, folder.stat().st_mtime_ns)
    before = [one for one in beside if one.message_id != message_id and _order(one) < _order(own)]
    facts = Facts(source, _infos(folder, session_id))
    facts.add(session_id, [*before, own])
    unique = names.call_of("", message_id)
    facts.calls = [call for call in facts.calls if _is_of(call.call_id, unique)]
    own_tools = [tool for tool in facts.tool_calls if _is_of(tool.tool_call_id, unique)]
    facts.tool_calls = own_tools
    facts.without_usage = sum(step.usage is None for step in own.steps)
    yield from facts.batches()


def _is_of(call_id: str, unique: str) -> bool:
    """Return whether an id is that of a message's call, of a later step of it, or of its tools."""
    _, found, rest = call_id.partition(unique)
    return bool(found) and rest[:1] in ("", "-", ".")


def _order(message: Message) -> tuple[int, str]:
    return message.began_ns or 0, message.message_id


@lru_cache(maxsize=_REMEMBERED_FOLDERS)
def _stored_session(folder: Path, session_id: str, changed_ns: int) -> tuple[Message, ...]:
    """Read all messages of a session from its folder; again when the folder changed."""
    del changed_ns
    found: list[Message] = []
    for path in sorted(folder.glob("*.json")):
        info = _file(path)
        if info.get("sessionID") == session_id and "role" in info:
            try:
                found.append(with_parts(info, _parts(folder, path.stem)))
            except BadRecordError:
                continue  # it is reported when its own file is read
    return tuple(sorted(found, key=_order))


def _parts(folder: Path, message_id: str) -> list[Record]:
    beside = folder.parent.parent / "part" / message_id
    return [_file(path) for path in sorted(beside.glob("*.json"))]


def _infos(folder: Path, session_id: str) -> dict[str, Info]:
    """Read the file of a session, and those of the sessions above it."""
    found: dict[str, Info] = {}
    wanted: str | None = session_id
    while wanted is not None and wanted not in found:
        paths = (folder.parent.parent / "session").glob(f"*/{wanted}.json")
        fields = next((_file(path) for path in paths), {})
        found[wanted] = info = Info(wanted, _text(fields, "parentID"), _text(fields, "title"))
        wanted = info.parent_id
    return found


def _file(path: Path) -> Record:
    """Read a JSON file of the storage; empty where it is damaged or gone."""
    try:
        found = parse(path.read_bytes())
    except (OSError, BadJsonError):
        return {}
    return found if isinstance(found, dict) else {}


def _database(path: Path, source: Source) -> Iterator[Batch | Skipped | Note]:
    """Read all sessions of a database, without writing to it."""
    try:
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as connection:
            connection.row_factory = sqlite3.Row
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            infos = {info.session_id: info for info in _sessions(connection, tables)}
            messages, skipped = _messages(connection, tables)
    except sqlite3.Error as error:
        yield Skipped(None, f"not an OpenCode database: {error}")
        return
    yield from skipped
    facts = Facts(source, infos)
    for session_id, told in messages.items():
        facts.add(session_id, told)
    yield from facts.batches()


def _sessions(connection: sqlite3.Connection, tables: set[str]) -> Iterator[Info]:
    for table in ("session", "session_v2"):
        if table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                fields = dict(row)
                yield Info(str(row["id"]), _text(fields, "parent_id"), _text(fields, "title"))


def _messages(
    connection: sqlite3.Connection, tables: set[str]
) -> tuple[dict[str, list[Message]], list[Skipped]]:
    found: dict[str, list[Message]] = {}
    skipped: list[Skipped] = []
    parts: dict[str, list[Record]] = {}
    if {"message", "part"} <= tables:
        for row in connection.execute("SELECT * FROM part ORDER BY id"):
            parts.setdefault(str(row["message_id"]), []).append(_row(row))
        for row in connection.execute("SELECT * FROM message ORDER BY time_created, id"):
            try:
                info = {**_row(row), "id": str(row["id"])}
                message = with_parts(info, parts.get(str(row["id"]), []))
                found.setdefault(str(row["session_id"]), []).append(message)
            except BadRecordError as error:
                skipped.append(Skipped(None, f"message `{row['id']}`: {error}"))
    if "session_message" in tables:
        newer: dict[str, list[Message]] = {}
        for row in connection.execute("SELECT * FROM session_message ORDER BY seq"):
            try:
                read_message = whole(str(row["type"]), _row(row), str(row["id"]))
            except BadRecordError as error:
                skipped.append(Skipped(None, f"message `{row['id']}`: {error}"))
                continue
            if read_message is not None:
                newer.setdefault(str(row["session_id"]), []).append(read_message)
        found |= newer
    return found, skipped


def _row(row: sqlite3.Row) -> Record:
    try:
        found = parse(str(row["data"]).encode("utf-8", "surrogatepass"))
    except BadJsonError as error:
        raise BadRecordError(str(error)) from error
    return record(found, "`data`")


def _info(fields: Record) -> Info:
    return Info(text(fields, "id"), _text(fields, "parentID"), _text(fields, "title"))


def _text(fields: Record, key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) and value else None
