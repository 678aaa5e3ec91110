"""OpenAI Agents SDK: planner hands over to researcher; a session of two turns; one streamed."""

import phasewise

phasewise.init()
import sys, asyncio
from agents import (
    Agent,
    Runner,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    function_tool,
    SQLiteSession,
)
from openai import AsyncOpenAI

kind = (
    OpenAIResponsesModel
    if len(sys.argv) > 2 and sys.argv[2] == "responses"
    else OpenAIChatCompletionsModel
)
model = kind(
    model="gpt-5-mini", openai_client=AsyncOpenAI(base_url=sys.argv[1] + "/v1", api_key="x")
)


@function_tool
def get_weather(city: str) -> str:
    """Weather."""
    return "21"


@function_tool
def get_price(item: str) -> str:
    """Price."""
    return "3"


@function_tool
def lookup(topic: str) -> str:
    """Look up."""
    return "old"


researcher = Agent(
    name="researcher", instructions="You look things up. " * 30, model=model, tools=[lookup]
)
planner = Agent(
    name="planner",
    instructions="You plan trips. " * 40,
    model=model,
    tools=[get_weather, get_price],
    handoffs=[researcher],
)


async def main():
    s = SQLiteSession("chat-1")
    await Runner.run(planner, "plan a trip", session=s)  # 2 planner, 2 researcher
    r = Runner.run_streamed(planner, "and once more", session=s)
    async for _ in r.stream_events():
        pass
    try:
        await Runner.run(researcher, "FAILALWAYS")
    except Exception as e:
        print(type(e).__name__)


asyncio.run(main())
