"""Agno: a Team with a member; a session of two turns; one streamed."""

import phasewise

phasewise.init()
import sys
from agno.agent import Agent
from agno.team import Team
from agno.db.in_memory import InMemoryDb
from agno.models.openai import OpenAIChat

model = lambda: OpenAIChat(id="gpt-4o-mini", base_url=sys.argv[1] + "/v1", api_key="x")


def get_weather(city: str) -> str:
    """Weather."""
    return "21"


def get_price(item: str) -> str:
    """Price."""
    return "3"


def lookup(topic: str) -> str:
    """Look up."""
    return "old"


planner = Agent(
    name="planner",
    model=model(),
    tools=[get_weather, get_price],
    instructions="You plan trips. " * 40,
    db=InMemoryDb(),
    add_history_to_context=True,
    telemetry=False,
)
planner.run("plan a trip", session_id="chat-1")
for _ in planner.run("and once more", session_id="chat-1", stream=True):
    pass
researcher = Agent(
    name="researcher",
    model=model(),
    tools=[lookup],
    instructions="You look things up. " * 30,
    telemetry=False,
)
team = Team(name="lead", members=[researcher], model=model(), telemetry=False)
team.run("look up history", session_id="chat-2")
