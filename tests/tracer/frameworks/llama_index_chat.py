"""LlamaIndex's OpenAI-compatible model: one whole answer, one stream."""

import sys

import phasewise

phasewise.init()

from llama_index.core.llms import ChatMessage  # noqa: E402
from llama_index.llms.openai_like import OpenAILike  # noqa: E402

model = OpenAILike(model="stand-in", api_base=sys.argv[1], api_key="none", is_chat_model=True)
said = [ChatMessage(role="user", content="hello")]
model.chat(said)
for _ in model.stream_chat(said):
    pass
