"""langchain create_agent (LangGraph): a sub-agent as a tool, a checkpointed thread of two turns, one streamed."""

import phasewise

phasewise.init()
import sys
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

if len(sys.argv) > 2 and sys.argv[2] == "anthropic":
    from langchain_anthropic import ChatAnthropic

    model = ChatAnthropic(base_url=sys.argv[1], api_key="x", model="claude-sonnet-4-5")
else:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(base_url=sys.argv[1] + "/v1", api_key="x", model="gpt-4o-mini")


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


researcher = create_agent(
    model, [lookup], system_prompt="You look things up. " * 30, name="researcher"
)


@tool
def ask_researcher(question: str) -> str:
    """Ask the researcher."""
    return researcher.invoke({"messages": [("user", question)]})["messages"][-1].text


planner = create_agent(
    model,
    [get_weather, get_price, ask_researcher],
    system_prompt="You plan trips. " * 40,
    name="planner",
    checkpointer=InMemorySaver(),
)
cfg = {"configurable": {"thread_id": "chat-1"}}
planner.invoke({"messages": [("user", "plan a trip")]}, cfg)  # 3 planner + 2 researcher
for _ in planner.stream(
    {"messages": [("user", "FAILONCE and once more")]}, cfg, stream_mode="messages"
):
    pass
try:
    planner.invoke(
        {"messages": [("user", "FAILALWAYS")]}, {"configurable": {"thread_id": "chat-2"}}
    )
except Exception as e:
    print(type(e).__name__)
