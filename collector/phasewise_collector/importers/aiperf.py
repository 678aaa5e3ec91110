"""AIPerf's traces: Mooncake lines with sessions, delays between turns, and prompts as text.

`session_id` joins turns; a later turn may have a `delay` in milliseconds after the answer before it
in place of a `timestamp`. A prompt is hashes (`hash_ids`), one text (`text_input`), or `messages`
with `tools`: the whole history, or with `message_mode` `delta` what is new.
Source: https://github.com/ai-dynamo/aiperf, docs/benchmark-modes/trace-replay.md.
"""

from collections.abc import Iterator
from pathlib import Path

from phasewise_store.facts import Batch

from phasewise_collector.importers import request_trace
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has

FORMAT = "aiperf"
SOURCE = "aiperf"
_SHAPES = (
    {"session_id", "input_length"},
    {"delay", "input_length"},
    {"text_input", "output_length"},
    {"messages", "output_length"},
    {"payload", "session_id"},
)


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line is a turn of a session, or a request as text."""
    del path
    return any(any_line_has(head, keys) for keys in _SHAPES)


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the turns of each session."""
    family = request_trace.Family(
        FORMAT,
        SOURCE,
        request_trace.MILLISECONDS,
        turns_hold_new_text_only=True,
        output_is_optional=True,
    )
    return request_trace.read(trace, family)
