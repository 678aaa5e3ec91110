"""Strands: agent with a sub-agent as tool; two turns (always streams)."""

import phasewise

phasewise.init()
import sys
from strands import Agent, tool
from strands.models.openai import OpenAIModel

model = lambda: OpenAIModel(
    client_args={"base_url": sys.argv[1] + "/v1", "api_key": "x"}, model_id="gpt-4o-mini"
)


@tool
def get_weather(city: str) -> str:
    """Weather."""
    return "21"


@tool
def get_price(item: str) -> str:
    """Price."""
    return "3"


@tool
def lookup(topic: str) -> str:
    """Look up."""
    return "old"


researcher = Agent(
    model=model(),
    name="researcher",
    tools=[lookup],
    system_prompt="You look things up. " * 30,
    callback_handler=None,
)


@tool
def ask_researcher(question: str) -> str:
    """Ask."""
    return str(researcher(question))


planner = Agent(
    model=model(),
    name="planner",
    tools=[get_weather, get_price, ask_researcher],
    system_prompt="You plan trips. " * 40,
    callback_handler=None,
)
planner("plan a trip")
planner("and once more")
