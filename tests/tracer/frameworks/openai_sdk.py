"""The OpenAI SDK: one whole answer, one stream."""

import sys

import phasewise

phasewise.init()

from openai import OpenAI  # noqa: E402

client = OpenAI(base_url=sys.argv[1], api_key="none")
said = [{"role": "user", "content": "hello"}]
client.chat.completions.create(model="stand-in", messages=said)
for _ in client.chat.completions.create(model="stand-in", messages=said, stream=True):
    pass
