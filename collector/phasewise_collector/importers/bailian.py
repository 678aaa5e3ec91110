"""Alibaba's Qwen-Bailian usage traces: Mooncake's fields with 16-token blocks and seconds.

A line has its chat (`chat_id`) and the chat that it continues (`parent_chat_id`, -1 for none):
those that follow from one are a session. `type` is the kind of request, and becomes the agent:
text, search, image, file.
Source: https://github.com/alibaba-edu/qwen-bailian-usagetraces-anon.
"""

from collections.abc import Iterator
from pathlib import Path

from phasewise_store.facts import Batch

from phasewise_collector.importers import request_trace
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has

FORMAT = "qwen-bailian"
SOURCE = "qwen-bailian"


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line is a request of a chat."""
    del path
    return any_line_has(head, {"chat_id", "parent_chat_id", "input_length"})


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the requests of each chat as a session."""
    family = request_trace.Family(FORMAT, SOURCE, request_trace.SECONDS)
    return request_trace.read(trace, family)
