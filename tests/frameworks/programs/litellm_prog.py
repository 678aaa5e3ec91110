"""litellm: openai and anthropic models, a stream, async, an error."""

import phasewise

phasewise.init()
import sys, asyncio, litellm

# it else loads its tokenizer while its first stream waits to be read: for longer than that lasts
litellm.token_counter(model="gpt-4o-mini", text="a trip")

U = sys.argv[1]
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
msgs = [
    {"role": "system", "content": "You plan trips. " * 40},
    {"role": "user", "content": "plan a trip"},
]
while True:
    m = (
        litellm.completion(
            model="openai/gpt-4o-mini", api_base=U + "/v1", api_key="x", messages=msgs, tools=T
        )
        .choices[0]
        .message
    )
    msgs.append(m.model_dump(exclude_none=True))
    if not m.tool_calls:
        break
    msgs += [{"role": "tool", "tool_call_id": t.id, "content": "21"} for t in m.tool_calls]
q = [{"role": "user", "content": "sum up"}]
for _ in litellm.completion(
    model="openai/gpt-4o-mini",
    api_base=U + "/v1",
    api_key="x",
    messages=q,
    stream=True,
    stream_options={"include_usage": True},
):
    pass
litellm.completion(model="anthropic/claude-sonnet-4-5", api_base=U, api_key="x", messages=q)
for _ in litellm.completion(
    model="anthropic/claude-sonnet-4-5", api_base=U, api_key="x", messages=q, stream=True
):
    pass
asyncio.run(
    litellm.acompletion(model="openai/gpt-4o-mini", api_base=U + "/v1", api_key="x", messages=q)
)
try:
    litellm.completion(
        model="openai/gpt-4o-mini",
        api_base=U + "/v1",
        api_key="x",
        messages=[{"role": "user", "content": "FAILALWAYS"}],
    )
except Exception as e:
    print(type(e).__name__)
