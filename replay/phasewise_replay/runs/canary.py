"""The canary: a request whose prompt no session sends, to check that the cache is cold.

It is sent once so that it is cached, the cache is reset, and it is sent again. Cached tokens in the
second answer mean that the reset had no effect and the block would measure a warm cache.
"""

from dataclasses import replace

import orjson
from phasewise_analyzer.engine.caches.prompt_ids import digest_ids

from phasewise_replay.engine import Request

WORDS = 400
"""about 1,200 tokens: more than the 1,024 below which hosted APIs cache nothing"""
TOKENS = 1200


def canary(like: Request, *, vocabulary_tokens: int, most_tokens: int | None) -> Request:
    """Return the canary in the form of a recorded request: chat, raw text or token ids."""
    share = 1.0 if most_tokens is None else min(1.0, most_tokens / (2 * TOKENS))
    text = " ".join(f"canary {number}" for number in range(int(WORDS * share)))
    bare = replace(
        like,
        request_id="canary",
        call_id="canary",
        step=0,
        output_tokens=2,
        free=False,
        forced_ids=None,
        warm=False,
        tools=(),
        messages=(),
        system=None,
    )
    if like.messages:
        message = orjson.dumps({"role": "user", "content": text})
        return replace(bare, messages=(message,))
    if like.prompt is not None:
        return replace(bare, prompt=text)
    ids = digest_ids(b"canary", int(TOKENS * share), vocabulary_tokens)
    return replace(bare, prompt_token_ids=ids)
