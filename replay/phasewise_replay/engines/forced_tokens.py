"""Whether a server generates the tokens that it is told to: asked with one small request.

vLLM's trace replay (0.32: v1/worker/gpu/sample/trace_replay.py, `--enable-trace-replay`), through
the only endpoint of its server that passes the field (`--enable-scale-out`).
"""

from collections.abc import Sequence

import numpy as np
from phasewise_analyzer.engine.caches.token_ids import TokenIds

from phasewise_replay.client import answer_tokens
from phasewise_replay.client.endpoint_forms import PATHS
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import VLLM
from phasewise_replay.engine import Request

FORCED = (9, 3, 9, 4)
"""tokens of every vocabulary, and nothing that a model would write"""
PROBE = Request(
    *("probe", "probe", "probe", 0),
    output_tokens=len(FORCED),
    endpoint="generate",
    prompt_token_ids=np.array([5, 6, 7, 8]),
    forced_ids=np.array(FORCED),
)


class ServerForcing:
    """A server that may be a vLLM which forces tokens."""

    def __init__(self, client: OpenAiClient) -> None:
        self._client = client

    def refusal(self) -> str | None:
        """Return why it does not generate given tokens, in its own words; None where it does.

        A server that takes the field and ignores it is found out, too.
        """
        path, client = PATHS["generate"], self._client
        if client.dialect != VLLM:
            return f"tokens are forced by vLLM's `{path}`, and this server is no vLLM"
        if not client.serves(path):
            return f"tokens are forced by `{path}`, which this vLLM does not have"
        answer = client.send(PROBE)
        if answer.error == "InternalServerError":
            # 0.32 (v1/engine/async_llm.py) wraps what its validation raises, and drops the text
            return (
                "tokens cannot be forced: InternalServerError, whose reason only vLLM's log has "
                "(speculative decoding is one)"
            )
        if answer.error is not None:
            return f"tokens cannot be forced: {answer.error}"
        ids = answer.output_token_ids
        answered = None if ids is None else tuple(ids.tolist())
        if answered != FORCED:
            return f"forced to generate the tokens {FORCED}, this vLLM answered {answered}"
        return None

    def answer_ids(
        self, request: Request, prompt: TokenIds, answer: Sequence[bytes]
    ) -> TokenIds | None:
        """Return the tokens of an answer, as the server's own tokenizer and template make them."""
        return answer_tokens.answer_ids(self._client, request, prompt, answer)
