"""A LangGraph agent with two tools: it asks, runs what is called, asks again with the results."""

import sys

import phasewise

phasewise.init()

from langchain_core.tools import tool  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402
from langgraph.prebuilt import create_react_agent  # noqa: E402


@tool
def weather(city: str) -> str:
    """Say what the weather in a city is."""
    return f"{city}: 21 degrees, wind from the west, no rain before the evening"


@tool
def population(city: str) -> str:
    """Say how many people live in a city."""
    return f"{city}: 2,100,000 people"


model = ChatOpenAI(base_url=sys.argv[1], api_key="none", model="strict")
agent = create_react_agent(model, [weather, population], prompt="Use the tools, then be brief.")
messages = []
for question in ("How is the weather in Paris?", "And how many people live there?"):
    messages = agent.invoke({"messages": [*messages, ("user", question)]})["messages"]
