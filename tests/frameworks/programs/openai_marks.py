"""openai SDK with Phasewise's own marks: a session of two turns, an agent, a sub-agent, a tool."""

import phasewise

phasewise.init()
import sys
from openai import OpenAI

c = OpenAI(base_url=sys.argv[1] + "/v1", api_key="x")


def ask(q):
    return c.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": q}])


for turn in ("one", "two"):
    with phasewise.session("order-17"), phasewise.agent("shopper"):
        ask("turn " + turn)
        with phasewise.tool("search"):
            pass
        with phasewise.agent("researcher"):
            ask("sub " + turn)
