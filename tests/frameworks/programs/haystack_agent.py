"""Haystack Agent: two tools; two turns; one streamed."""

import phasewise

phasewise.init()
import sys
from typing import Annotated
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import tool
from haystack.utils import Secret


@tool
def get_weather(city: Annotated[str, "where"]) -> str:
    """Weather."""
    return "21"


@tool
def get_price(item: Annotated[str, "what"]) -> str:
    """Price."""
    return "3"


gen = OpenAIChatGenerator(
    model="gpt-4o-mini", api_base_url=sys.argv[1] + "/v1", api_key=Secret.from_token("x")
)
a = Agent(chat_generator=gen, tools=[get_weather, get_price], system_prompt="You plan trips. " * 40)
r = a.run(messages=[ChatMessage.from_user("plan a trip")])
a.run(
    messages=r["messages"][1:] + [ChatMessage.from_user("and once more")],
    streaming_callback=lambda chunk: None,
)
