"""A stream that the program leaves after one chunk, and a coroutine that is cancelled."""

import phasewise

phasewise.init()
import sys, asyncio
from openai import OpenAI, AsyncOpenAI

c = OpenAI(base_url=sys.argv[1] + "/v1", api_key="x")
for _ in c.chat.completions.create(
    model="gpt-4o", messages=[{"role": "user", "content": "leave early"}], stream=True
):
    break


async def main():
    a = AsyncOpenAI(base_url=sys.argv[1] + "/v1", api_key="x")
    t = asyncio.create_task(
        a.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "cancel me"}]
        )
    )
    await asyncio.sleep(0.05)
    t.cancel()
    try:
        await t
    except asyncio.CancelledError:
        pass
    with c.chat.completions.with_streaming_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": "raw stream response"}]
    ) as r:
        r.read()
    c.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": "raw response"}]
    ).parse()
    from pydantic import BaseModel

    class T(BaseModel):
        city: str

    c.chat.completions.parse(
        model="gpt-4o", messages=[{"role": "user", "content": "parsed"}], response_format=T
    )
    with c.chat.completions.stream(
        model="gpt-4o", messages=[{"role": "user", "content": "helper stream"}]
    ) as s:
        for _ in s:
            pass


asyncio.run(main())
