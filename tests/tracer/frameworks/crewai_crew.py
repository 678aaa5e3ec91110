"""CrewAI: a crew of one agent with one task, and its model streamed."""

import sys

import phasewise

phasewise.init()

from crewai import LLM, Agent, Crew, Task  # noqa: E402

for stream in (False, True):
    llm = LLM(model="openai/stand-in", base_url=sys.argv[1], api_key="none", stream=stream)
    planner = Agent(role="planner", goal="plan", backstory="none", llm=llm)
    task = Task(description="say hello", expected_output="a word", agent=planner)
    Crew(agents=[planner], tasks=[task]).kickoff()
