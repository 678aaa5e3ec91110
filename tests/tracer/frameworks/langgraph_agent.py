"""LangGraph with LangChain's OpenAI model: its span and the SDK's stand in two traces."""

import sys

import phasewise

phasewise.init()

from langchain_openai import ChatOpenAI  # noqa: E402
from langgraph.graph import END, START, MessagesState, StateGraph  # noqa: E402

model = ChatOpenAI(base_url=sys.argv[1], api_key="none", model="stand-in", stream_usage=True)


def planner(state):
    """Ask the model."""
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("planner", planner)
graph.add_edge(START, "planner")
graph.add_edge("planner", END)
agent = graph.compile(name="planner")
agent.invoke({"messages": [("user", "hello")]})
for _ in agent.stream({"messages": [("user", "hello")]}, stream_mode="messages"):
    pass
