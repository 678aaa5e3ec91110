"""The OpenAI Agents SDK: one run, one streamed run."""

import asyncio
import sys

import phasewise

phasewise.init()

from agents import Agent, OpenAIChatCompletionsModel, Runner  # noqa: E402
from openai import AsyncOpenAI  # noqa: E402


async def main():
    """Run twice."""
    client = AsyncOpenAI(base_url=sys.argv[1], api_key="none")
    agent = Agent(
        name="planner", model=OpenAIChatCompletionsModel(model="stand-in", openai_client=client)
    )
    await Runner.run(agent, "hello")
    async for _ in Runner.run_streamed(agent, "hello").stream_events():
        pass


asyncio.run(main())
