"""Google ADK: planner with a sub-agent; one session of two turns (Gemini)."""

import phasewise

phasewise.init()
import sys, asyncio, os

os.environ["GOOGLE_API_KEY"] = "x"
os.environ["GOOGLE_GEMINI_BASE_URL"] = sys.argv[1]
from google.adk.agents import LlmAgent
from google.adk.runners import InMemoryRunner
from google.genai import types


def get_weather(city: str) -> str:
    """Weather."""
    return "21"


def get_price(item: str) -> str:
    """Price."""
    return "3"


def lookup(topic: str) -> str:
    """Look up."""
    return "old"


researcher = LlmAgent(
    name="researcher",
    model="gemini-2.5-flash",
    description="looks up",
    instruction="You look things up. " * 30,
    tools=[lookup],
    disallow_transfer_to_parent=True,
)
planner = LlmAgent(
    name="planner",
    model="gemini-2.5-flash",
    instruction="You plan trips. " * 40,
    tools=[get_weather, get_price],
    sub_agents=[researcher],
)


async def main():
    r = InMemoryRunner(planner, app_name="trips")
    s = await r.session_service.create_session(app_name="trips", user_id="u1")
    for q in ("plan a trip", "and once more"):
        async for _ in r.run_async(
            user_id="u1",
            session_id=s.id,
            new_message=types.Content(role="user", parts=[types.Part(text=q)]),
        ):
            pass


asyncio.run(main())
