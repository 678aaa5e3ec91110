"""anthropic SDK: tool loop with cache_control, two kinds of stream, async, an error."""

import phasewise

phasewise.init()
import sys, asyncio
import anthropic

M = "claude-sonnet-4-5"
U = sys.argv[1]
c = anthropic.Anthropic(base_url=U, api_key="x")
T = [
    {
        "name": n,
        "description": n,
        "input_schema": {"type": "object", "properties": {a: {"type": "string"}}, "required": [a]},
    }
    for n, a in (("get_weather", "city"), ("get_price", "item"))
]
S = [{"type": "text", "text": "You plan trips. " * 40, "cache_control": {"type": "ephemeral"}}]
msgs = [{"role": "user", "content": "plan a trip"}]
while True:
    r = c.messages.create(model=M, max_tokens=100, system=S, messages=msgs, tools=T)
    msgs.append(
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in r.content]}
    )
    uses = [b for b in r.content if b.type == "tool_use"]
    if not uses:
        break
    msgs.append(
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": b.id, "content": "21"} for b in uses
            ],
        }
    )
msgs.append({"role": "user", "content": "sum up"})
for _ in c.messages.create(model=M, max_tokens=100, system=S, messages=msgs, stream=True):
    pass
with c.messages.stream(model=M, max_tokens=100, system=S, messages=msgs) as s:
    for _ in s.text_stream:
        pass


async def one():
    await anthropic.AsyncAnthropic(base_url=U, api_key="x").messages.create(
        model=M, max_tokens=100, messages=[{"role": "user", "content": "FAILONCE async"}]
    )


asyncio.run(one())
try:
    c.messages.create(model=M, max_tokens=10, messages=[{"role": "user", "content": "FAILALWAYS"}])
except anthropic.BadRequestError:
    pass
