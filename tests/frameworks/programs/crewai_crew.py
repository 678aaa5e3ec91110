"""CrewAI: two agents, two tasks, tools."""

import phasewise

phasewise.init()
import sys, os

os.environ |= {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OPENAI_API_KEY": "x",
}
from crewai import Agent, Crew, Task, LLM
from crewai.tools import tool

llm = LLM(model="openai/gpt-4o-mini", base_url=sys.argv[1] + "/v1", api_key="x")


@tool("get_weather")
def get_weather(city: str) -> str:
    """Weather."""
    return "21"


@tool("get_price")
def get_price(item: str) -> str:
    """Price."""
    return "3"


@tool("lookup")
def lookup(topic: str) -> str:
    """Look up."""
    return "old"


planner = Agent(
    role="planner",
    goal="plan",
    backstory="You plan trips. " * 40,
    llm=llm,
    tools=[get_weather, get_price],
)
researcher = Agent(
    role="researcher",
    goal="look up",
    backstory="You look things up. " * 30,
    llm=llm,
    tools=[lookup],
)
t1 = Task(description="plan a trip", expected_output="a plan", agent=planner)
t2 = Task(description="look up history", expected_output="text", agent=researcher)
print(Crew(agents=[planner, researcher], tasks=[t1, t2]).kickoff())
