"""Mooncake request traces: prompts as hashes of blocks, no text, no model, no session.

Lines are `{timestamp, input_length, output_length, hash_ids}`. The whole file is one session of one
agent, in file order, because its batches of requests with equal timestamps have no other order.
Source: https://github.com/kvcache-ai/Mooncake, FAST25-release.
"""

from collections.abc import Iterator
from pathlib import Path

from phasewise_store.facts import Batch

from phasewise_collector.importers import request_trace
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has

FORMAT = "mooncake"
SOURCE = "mooncake"


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line is a request."""
    del path
    return any_line_has(head, {"timestamp", "input_length", "hash_ids"}) or any_line_has(
        head, {"timestamp", "input_length", "output_length"}
    )


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return all requests as one session."""
    family = request_trace.Family(FORMAT, SOURCE, request_trace.MILLISECONDS)
    return request_trace.read(trace, family)
