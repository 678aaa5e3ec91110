"""Pydantic AI: researcher as a tool of planner; history over two turns; one streamed; an error."""

import phasewise

phasewise.init()
import sys, asyncio
from pydantic_ai import Agent

if len(sys.argv) > 2 and sys.argv[2] == "anthropic":
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    model = AnthropicModel(
        "claude-sonnet-4-5", provider=AnthropicProvider(base_url=sys.argv[1], api_key="x")
    )
else:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(
        "gpt-4o-mini", provider=OpenAIProvider(base_url=sys.argv[1] + "/v1", api_key="x")
    )
researcher = Agent(model, name="researcher", system_prompt="You look things up. " * 30)
planner = Agent(model, name="planner", system_prompt="You plan trips. " * 40)


@researcher.tool_plain
def lookup(topic: str) -> str:
    return "old"


@planner.tool_plain
def get_weather(city: str) -> str:
    return "21"


@planner.tool_plain
def get_price(item: str) -> str:
    return "3"


@planner.tool_plain
async def ask_researcher(question: str) -> str:
    return (await researcher.run(question)).output


async def main():
    r = await planner.run("plan a trip")
    async with planner.run_stream("FAILONCE and once more", message_history=r.all_messages()) as s:
        async for _ in s.stream_text():
            pass
    try:
        await researcher.run("FAILALWAYS")
    except Exception as e:
        print(type(e).__name__)


asyncio.run(main())
