"""The tokens of a recorded answer, as the server's own tokenizer and chat template write it.

Asked before a run: a performance run with `forced: tokens` makes the engine generate them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from phasewise_analyzer.engine.caches.token_ids import TokenIds

from phasewise_replay.client import request_body
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.engine import Request


def answer_ids(
    client: OpenAiClient, request: Request, prompt: TokenIds, answer: Sequence[bytes]
) -> TokenIds | None:
    """Return the tokens of an answer; see `TokenForcing.answer_ids`.

    A chat is tokenized with its answer as history: what comes behind the prompt is the answer, with
    the end of its turn, and is what the next prompt of the session has there.
    """
    if not request.messages:
        text = b"".join(answer).decode("utf-8", "replace")
        return _some(client.tokenized(request_body.text_tokenization(text, client.model)))
    answered = replace(request, messages=(*request.messages, *answer))
    whole = client.tokenized(request_body.history_tokenization(answered, client.model))
    if whole is None:
        return None
    shared = shared_tokens(whole, prompt)
    if shared < len(prompt):
        # the template opens an answer otherwise than it keeps it: with a thought, for instance
        before = client.tokenized(request_body.history_tokenization(request, client.model))
        if before is None or shared < len(before):
            return None
    return _some(whole[shared:])


def shared_tokens(one: TokenIds, two: TokenIds) -> int:
    """Return how many tokens two sequences have in common at their start."""
    length = min(len(one), len(two))
    other = np.flatnonzero(one[:length] != two[:length])
    return int(other[0]) if len(other) else length


def _some(ids: TokenIds | None) -> TokenIds | None:
    return ids if ids is not None and len(ids) else None
