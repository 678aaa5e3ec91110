"""LlamaIndex AgentWorkflow: planner hands off to researcher; a memory over two turns (streams)."""

import phasewise

phasewise.init()
import sys, asyncio
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.workflow import Context
from llama_index.llms.openai_like import OpenAILike


def get_weather(city: str) -> str:
    """Weather."""
    return "21"


def get_price(item: str) -> str:
    """Price."""
    return "3"


def lookup(topic: str) -> str:
    """Look up."""
    return "old"


llm = OpenAILike(
    model="gpt-4o-mini",
    api_base=sys.argv[1] + "/v1",
    api_key="x",
    is_chat_model=True,
    is_function_calling_model=True,
    context_window=128000,
)
planner = FunctionAgent(
    name="planner",
    description="plans",
    system_prompt="You plan trips. " * 40,
    tools=[get_weather, get_price],
    llm=llm,
    can_handoff_to=["researcher"],
)
researcher = FunctionAgent(
    name="researcher",
    description="looks up",
    system_prompt="You look things up. " * 30,
    tools=[lookup],
    llm=llm,
    streaming=False,
)


async def main():
    wf = AgentWorkflow(agents=[planner, researcher], root_agent="planner")
    ctx = Context(wf)
    await wf.run(user_msg="plan a trip", ctx=ctx)
    wf2 = FunctionAgent(
        name="planner",
        description="plans",
        system_prompt="You plan trips. " * 40,
        tools=[get_weather, get_price],
        llm=llm,
        streaming=False,
    )
    # a context alone forgets: its memory is left out when a run ends
    memory = ChatMemoryBuffer.from_defaults(token_limit=100_000)
    await wf2.run(user_msg="plan a trip", memory=memory)
    await wf2.run(user_msg="and once more", memory=memory)


asyncio.run(main())
