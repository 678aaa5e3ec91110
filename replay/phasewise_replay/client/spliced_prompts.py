"""JSON of prompts that grow: what a session's previous call has encoded is not encoded again.

Recorded messages are JSON already; this is for raw text and token ids. `request_body` calls it.
"""

import numpy as np
import orjson
from phasewise_analyzer.engine.caches.token_ids import TokenIds

from phasewise_replay.engine import Request


class SplicedPrompts:
    """Keeps the last prompt of each session with its JSON."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str | TokenIds | None, bytes]] = {}

    def encoded(self, request: Request) -> bytes:
        """Return the JSON of the text or the token ids of a request."""
        ids = request.prompt_token_ids
        before, encoded = self._last.get(request.session_id, (None, b""))
        prompt: str | TokenIds | None
        if ids is None:
            prompt = request.prompt
            encoded = _text(prompt or "", before, encoded)
        else:
            prompt = ids
            encoded = _ids(ids, before, encoded)
        self._last[request.session_id] = prompt, encoded
        return encoded


def _text(prompt: str, before: str | TokenIds | None, encoded: bytes) -> bytes:
    if not isinstance(before, str) or not before or not prompt.startswith(before):
        return orjson.dumps(prompt)
    return encoded[:-1] + orjson.dumps(prompt[len(before) :])[1:]


def _ids(ids: TokenIds, before: str | TokenIds | None, encoded: bytes) -> bytes:
    if not isinstance(before, np.ndarray) or not 0 < len(before) < len(ids):
        return _array(ids)
    if not np.array_equal(ids[: len(before)], before):
        return _array(ids)
    return b"%b,%b" % (encoded[:-1], _array(ids[len(before) :])[1:])


def _array(ids: TokenIds) -> bytes:
    return orjson.dumps(np.ascontiguousarray(ids), option=orjson.OPT_SERIALIZE_NUMPY)
