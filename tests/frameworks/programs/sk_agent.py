"""Semantic Kernel: ChatCompletionAgent with a plugin; a thread of two turns; one streamed."""

import phasewise

phasewise.init()
import sys, asyncio
from openai import AsyncOpenAI
from semantic_kernel.agents import ChatCompletionAgent, ChatHistoryAgentThread
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function


class Trips:
    @kernel_function
    def get_weather(self, city: str) -> str:
        """Weather."""
        return "21"

    @kernel_function
    def get_price(self, item: str) -> str:
        """Price."""
        return "3"


async def main():
    svc = OpenAIChatCompletion(
        ai_model_id="gpt-4o-mini",
        async_client=AsyncOpenAI(base_url=sys.argv[1] + "/v1", api_key="x"),
    )
    a = ChatCompletionAgent(
        service=svc, name="planner", instructions="You plan trips. " * 40, plugins=[Trips()]
    )
    r = await a.get_response("plan a trip")
    async for _ in a.invoke_stream("and once more", thread=r.thread):
        pass


asyncio.run(main())
