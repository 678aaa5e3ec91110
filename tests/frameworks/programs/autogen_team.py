"""AutoGen AgentChat: an AssistantAgent with tools, then a Swarm with a handoff."""

import phasewise

phasewise.init()
import sys, asyncio
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import Swarm
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_ext.models.openai import OpenAIChatCompletionClient

m = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=sys.argv[1] + "/v1", api_key="x")


async def get_weather(city: str) -> str:
    return "21"


async def get_price(item: str) -> str:
    return "3"


async def lookup(topic: str) -> str:
    return "old"


async def main():
    a = AssistantAgent(
        "planner",
        m,
        tools=[get_weather, get_price],
        system_message="You plan trips. " * 40,
        max_tool_iterations=4,
    )
    await a.run(task="plan a trip")
    async for _ in a.run_stream(task="and once more"):
        pass
    p = AssistantAgent(
        "planner",
        m,
        tools=[get_weather, get_price],
        handoffs=["researcher"],
        system_message="You plan trips. " * 40,
    )
    r = AssistantAgent("researcher", m, tools=[lookup], system_message="You look things up. " * 30)
    await Swarm([p, r], termination_condition=MaxMessageTermination(9)).run(task="plan a trip")


asyncio.run(main())
