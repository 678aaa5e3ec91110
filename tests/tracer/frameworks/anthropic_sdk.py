"""The Anthropic SDK, which traces itself, too: one whole answer, one stream."""

import sys

import phasewise

phasewise.init()

import anthropic  # noqa: E402

client = anthropic.Anthropic(base_url=sys.argv[1].removesuffix("/v1"), api_key="none")
asked = {
    "model": "stand-in",
    "max_tokens": 10,
    "system": "Be kind.",
    "messages": [{"role": "user", "content": "hello"}],
}
client.messages.create(**asked)
with client.messages.stream(**asked) as stream:
    for _ in stream.text_stream:
        pass
