"""smolagents' OpenAI model: one whole answer, one stream."""

import sys

import phasewise

phasewise.init()

from smolagents import OpenAIServerModel  # noqa: E402

model = OpenAIServerModel(model_id="stand-in", api_base=sys.argv[1], api_key="none")
said = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
model.generate(said)
for _ in model.generate_stream(said):
    pass
