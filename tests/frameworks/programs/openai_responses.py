"""openai SDK, Responses API: tool loop by previous input, a stream, reasoning tokens, an error."""

import phasewise

phasewise.init()
import sys, asyncio
from openai import OpenAI, AsyncOpenAI, BadRequestError

URL = sys.argv[1] + "/v1"
M = "gpt-5-mini"
c = OpenAI(base_url=URL, api_key="x")
T = [
    {
        "type": "function",
        "name": n,
        "description": n,
        "parameters": {"type": "object", "properties": {a: {"type": "string"}}, "required": [a]},
    }
    for n, a in (("get_weather", "city"), ("get_price", "item"))
]
items = [{"role": "user", "content": "plan a trip"}]
while True:
    r = c.responses.create(model=M, instructions="You plan trips. " * 40, input=items, tools=T)
    calls = [o for o in r.output if o.type == "function_call"]
    items += [o.model_dump(exclude_none=True) for o in r.output]
    if not calls:
        break
    items += [{"type": "function_call_output", "call_id": o.call_id, "output": "21"} for o in calls]
for _ in c.responses.create(
    model=M, input=items + [{"role": "user", "content": "sum up"}], stream=True
):
    pass
with c.responses.stream(model=M, input="again") as s:
    for _ in s:
        pass


async def one():
    await AsyncOpenAI(base_url=URL, api_key="x").responses.create(model=M, input="async")


asyncio.run(one())
try:
    c.responses.create(model=M, input="FAILALWAYS")
except BadRequestError:
    pass
