"""openai SDK, chat completions: a tool loop (parallel), a stream with and one without usage,
a retry inside the SDK, an error, three equal async calls at once. 2 turns."""

import phasewise

phasewise.init()
import sys, json, asyncio
from openai import OpenAI, AsyncOpenAI, BadRequestError

URL = sys.argv[1] + "/v1"
M = "gpt-4o-mini"
c = OpenAI(base_url=URL, api_key="x")
T = [
    {
        "type": "function",
        "function": {
            "name": n,
            "description": n,
            "parameters": {
                "type": "object",
                "properties": {a: {"type": "string"}},
                "required": [a],
            },
        },
    }
    for n, a in (("get_weather", "city"), ("get_price", "item"))
]
msgs = [{"role": "system", "content": "You plan trips. " * 40}]


def turn(text):
    msgs.append({"role": "user", "content": text})
    while True:
        m = c.chat.completions.create(model=M, messages=msgs, tools=T).choices[0].message
        msgs.append(m.model_dump(exclude_none=True))
        if not m.tool_calls:
            return m.content
        for t in m.tool_calls:
            msgs.append({"role": "tool", "tool_call_id": t.id, "content": f"{t.function.name}: 21"})


turn("plan a trip to Paris")  # 3 calls
turn("and now FAILONCE please")  # 3 calls, 1 failed attempt
for usage in (True, False):  # 2 streams
    for _ in c.chat.completions.create(
        model=M,
        messages=msgs + [{"role": "user", "content": "sum up"}],
        stream=True,
        **({"stream_options": {"include_usage": True}} if usage else {}),
    ):
        pass
try:
    c.chat.completions.create(model=M, messages=[{"role": "user", "content": "FAILALWAYS"}])
except BadRequestError:
    pass  # 1 error


async def three():
    a = AsyncOpenAI(base_url=URL, api_key="x")
    await asyncio.gather(
        *(
            a.chat.completions.create(model=M, messages=[{"role": "user", "content": "SAMEUSAGE"}])
            for _ in range(3)
        )
    )


asyncio.run(three())  # 3 calls
