"""Microsoft Agent Framework: an agent with tools; a session of two turns; one streamed."""

import phasewise

phasewise.init()
import sys, asyncio
from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient


def get_weather(city: str) -> str:
    """Weather."""
    return "21"


def get_price(item: str) -> str:
    """Price."""
    return "3"


async def main():
    c = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key="x", base_url=sys.argv[1] + "/v1")
    a = Agent(
        client=c,
        name="planner",
        instructions="You plan trips. " * 40,
        tools=[get_weather, get_price],
    )
    s = a.create_session()
    await a.run("plan a trip", session=s)
    async for _ in a.run("and once more", session=s, stream=True):
        pass


asyncio.run(main())
