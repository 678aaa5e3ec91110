"""smolagents: ToolCallingAgent with a managed agent; two turns (reset=False), the second streamed."""

import phasewise

phasewise.init()
import sys
from smolagents import ToolCallingAgent, OpenAIServerModel, tool

model = OpenAIServerModel("gpt-4o-mini", api_base=sys.argv[1] + "/v1", api_key="x")


@tool
def get_weather(city: str) -> str:
    """Weather.

    Args:
        city: where
    """
    return "21"


@tool
def get_price(item: str) -> str:
    """Price.

    Args:
        item: what
    """
    return "3"


@tool
def lookup(topic: str) -> str:
    """Look up.

    Args:
        topic: what
    """
    return "old"


researcher = ToolCallingAgent(
    [lookup], model, name="researcher", description="looks up", max_steps=4, verbosity_level=0
)
planner = ToolCallingAgent(
    [get_weather, get_price],
    model,
    name="planner",
    managed_agents=[researcher],
    max_steps=5,
    verbosity_level=0,
)
planner.run("plan a trip")
planner2 = ToolCallingAgent(
    [get_weather, get_price],
    model,
    name="planner",
    max_steps=5,
    verbosity_level=0,
    stream_outputs=True,
)
planner2.run("plan a trip")
for _ in planner2.run("and once more", reset=False, stream=True):
    pass
