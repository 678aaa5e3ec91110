"""Pydantic AI, which traces itself once it is told to: one run, one streamed run."""

import asyncio
import sys

import phasewise

phasewise.init()

from pydantic_ai import Agent  # noqa: E402
from pydantic_ai.models.openai import OpenAIChatModel  # noqa: E402
from pydantic_ai.providers.openai import OpenAIProvider  # noqa: E402


async def main():
    """Run twice."""
    provider = OpenAIProvider(base_url=sys.argv[1], api_key="none")
    agent = Agent(OpenAIChatModel("stand-in", provider=provider), name="planner")
    await agent.run("hello")
    async with agent.run_stream("hello") as result:
        async for _ in result.stream_text():
            pass


asyncio.run(main())
