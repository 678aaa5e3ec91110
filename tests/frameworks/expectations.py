"""What is right of each program, from reading it: its conversations, its agents, its tools.

How many requests were answered, and with which tokens, the fake server's log says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["extra", "wire"]
"""with the instrumentors of the framework's extra installed, or with none"""

TURN = {"get_weather": 2, "get_price": 1}
"""the tools of one turn: both in parallel, then the weather again"""


@dataclass(frozen=True)
class Program:
    """One program and its right values."""

    file: str
    group: str
    """the environment it runs in"""
    conversations: str
    """one letter per answered request, in the order of the server: the same letter, one session"""
    argument: str | None = None
    agents: Mapping[str, int] | None = None
    """answered calls per agent, `parent>agent`; None: all under the program's name"""
    wire_agents: Mapping[str, int] | None = None
    """the same where no instrumentor is installed; None: all under the program's name"""
    tools: Mapping[str, int] = field(default_factory=dict)
    """tool runs by name"""
    left: frozenset[int] = frozenset()
    """requests, from 1, whose answer the program did not wait for"""
    environment: Mapping[str, str] = field(default_factory=dict)
    through_run: bool = False
    """started by `phasewise run`: the program knows nothing of Phasewise"""

    @property
    def name(self) -> str:
        """Name the program with its argument."""
        stem = self.file.rpartition(".")[0]
        return f"{stem}-{self.argument}" if self.argument else stem


def times(turn: Mapping[str, int], count: int) -> dict[str, int]:
    """Give the tools of several equal turns."""
    return {name: number * count for name, number in turn.items()}


ASKING = {"get_weather": 1, "get_price": 1, "ask_researcher": 1, "lookup": 1}
"""the tools of a turn whose planner asks a sub-agent"""
HANDING_OVER = {"get_weather": 1, "get_price": 1, "transfer_to_researcher": 1, "lookup": 1}

PYTHON = (
    # the providers' own clients
    Program("openai_chat.py", "clients", "AAAAAAAABCD", tools=times(TURN, 2)),
    Program("openai_responses.py", "clients", "AAAABC", tools=TURN),
    Program(
        *("openai_marks.py", "clients", "AAAA"),
        agents={"shopper": 2, "shopper>researcher": 2},
        wire_agents={"shopper": 2, "shopper>researcher": 2},
        tools={"search": 2},
    ),
    Program("hello.py", "clients", "A", through_run=True),
    Program("failmany.py", "clients", ""),
    Program("abandon.py", "clients", "ABCDEF", left=frozenset({1, 2})),
    Program("anthropic_sdk.py", "clients", "AAAAAB", tools=TURN),
    Program("anth_err.py", "clients", ""),
    Program("google_genai.py", "clients", "AAABC", tools=TURN),
    Program("mcp_tools.py", "clients", "AAA", tools=TURN),
    Program("instructor_prog.py", "clients", "AB"),
    Program("litellm_prog.py", "clients", "AAABCDE", tools=TURN),
    Program("dspy_react.py", "clients", "ABCDE"),
    # frameworks
    Program(
        *("langchain_agent.py", "agents", "AAAAAAAAAA"),
        agents={"planner": 6, "planner>researcher": 4},
        tools=times(ASKING, 2),
    ),
    Program(
        *("langchain_agent.py", "agents", "AAAAAAAAAA", "anthropic"),
        agents={"planner": 6, "planner>researcher": 4},
        tools=times(ASKING, 2),
    ),
    Program(
        *("openai_agents.py", "agents", "AAAAAAAA"),
        agents={"planner": 4, "researcher": 4},
        tools=times(HANDING_OVER, 2),
    ),
    Program(
        *("openai_agents.py", "agents", "AAAAAAAA", "responses"),
        agents={"planner": 4, "researcher": 4},
        tools=times(HANDING_OVER, 2),
    ),
    Program(
        *("pydantic_ai_agent.py", "agents", "AAAAAAAAAA"),
        agents={"planner": 6, "planner>researcher": 4},
        wire_agents={"planner": 6, "planner>researcher": 4},
        tools=times(ASKING, 2),
    ),
    Program(
        *("pydantic_ai_agent.py", "agents", "AAAAAAAAAA", "anthropic"),
        agents={"planner": 6, "planner>researcher": 4},
        wire_agents={"planner": 6, "planner>researcher": 4},
        tools=times(ASKING, 2),
    ),
    Program(
        *("smolagents_agent.py", "agents", "AAAAABBBBBBBBBBBBB"),
        agents={"planner": 16, "planner>researcher": 2},
        tools={"get_weather": 7, "get_price": 4, "researcher": 1, "lookup": 1, "final_answer": 5},
    ),
    Program(
        *("strands_agent.py", "toolkits", "AAAAAAAAAA"),
        agents={"planner": 6, "planner>researcher": 4},
        wire_agents={"planner": 6, "planner>researcher": 4},
        tools=times(ASKING, 2),
    ),
    Program("agno_team.py", "toolkits", "AAAAAABBBB", tools=times(TURN, 2)),
    Program("haystack_agent.py", "toolkits", "AAAAAA", tools=times(TURN, 2)),
    Program("claude_agent.py", "toolkits", "A"),
    Program(
        *("autogen_team.py", "microsoft", "AAAAAABBBB"),
        agents={"planner": 8, "researcher": 2},
        tools=times(TURN, 2),
    ),
    Program("agent_framework_agent.py", "microsoft", "AAAAAA", tools=times(TURN, 2)),
    Program("sk_agent.py", "microsoft", "AAAAAA", tools=times(TURN, 2)),
    Program("ag2_chat.py", "microsoft", "AAA", tools=TURN),
    Program(
        *("adk_agent.py", "google", "AAAAAAAA"),
        agents={"planner": 4, "researcher": 4},
        wire_agents={"planner": 4, "researcher": 4},
        tools={"get_weather": 2, "get_price": 2, "transfer_to_agent": 2, "lookup": 2},
    ),
    Program(
        *("llama_index_agent.py", "llama-index", "AAABBBBBB"),
        agents={"planner": 8, "researcher": 1},
        tools=times(TURN, 3),
    ),
    Program(
        *("crewai_crew.py", "crewai", "AAAAA"),
        agents={"planner": 3, "researcher": 2},
        tools=TURN | {"lookup": 1},
    ),
)

JAVASCRIPT = (
    Program("openai_node.mjs", "js", "AAAAB", tools=TURN),
    Program("anthropic_node.mjs", "js", ""),
    Program("langgraph.mjs", "js", "AAABBB", tools=times(TURN, 2)),
    Program("langgraph2.mjs", "js", "AAA", tools=TURN),
    Program("mastra.mjs", "js", ""),
    Program("vercel.mjs", "js", "A" * 10, tools=times(ASKING, 2)),
    Program("vercel.mjs", "js", "A" * 10, "responses", tools=times(ASKING, 2)),
)
