"""What is right of each program, from reading it: its conversations, its agents, its tools.

How many requests were answered, and with which tokens, the fake server's log says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Part = Literal["calls", "times", "structure"]
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
    may_stay: int | None = None
    """a request that the program may cancel before it leaves: then it is no call"""
    wrong: Mapping[Part, str] = field(default_factory=dict)
    """what is known to be wrong, and why it cannot be right: a test that it still is"""
    unsaid: frozenset[int] = frozenset()
    """requests whose usage the library does not pass on, though the server sent it"""
    wire_conversations: str | None = None
    """where it differs with no instrumentor: a sub-agent that nothing names stands alone"""
    wire_tools: Mapping[str, int] | None = None
    """the same of the tools"""
    exit_code: int = 0
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
HANDING_OVER = {"get_weather": 1, "get_price": 1, "lookup": 1}
PLANNER = {"planner": 6}
PLANNER_ASKING = {"planner": 6, "planner>researcher": 4}
ASKED_ALONE = "AABBAAACCA"
"""a planner of two turns whose sub-agent is no part of its session"""

CLI_TEXT = "prompts leave the CLI as raw bodies of the API, which are not read yet"
CLI_TIMES = "the CLI takes an answer's first event for its first token, and tells no other moment"
BUILD_MODELS = {"DEFER_PYDANTIC_BUILD": "false"}
"""SDKs else build their models while the first stream waits to be read: for more than its length"""

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
    Program("abandon.py", "clients", "ABCDEF", left=frozenset({1, 2}), may_stay=2),
    Program("anthropic_sdk.py", "clients", "AAAAAB", tools=TURN),
    Program("anth_err.py", "clients", ""),
    Program("google_genai.py", "clients", "AAABC", tools=TURN),
    Program("mcp_tools.py", "clients", "AAA", tools=TURN),
    Program("instructor_prog.py", "clients", "AB"),
    Program("litellm_prog.py", "clients", "AAABCDE", tools=TURN),
    # DSPy writes what happened so far into a new question each time: no answer is sent back
    Program("dspy_react.py", "clients", "ABCDE"),
    # frameworks
    *(
        Program(
            *("langchain_agent.py", "agents", "AAAAAAAAAA", provider),
            agents=PLANNER_ASKING,
            tools=times(ASKING, 2),
            # nothing in the sub-agent's prompts ties it to the tool call that asked
            wire_conversations=ASKED_ALONE,
        )
        for provider in (None, "anthropic")
    ),
    *(
        Program(
            *("openai_agents.py", "agents", "AAAAAAAA", api),
            agents={"planner": 4, "researcher": 4},
            tools=times(HANDING_OVER | {"handoff to researcher": 1}, 2),
            wire_tools=times(HANDING_OVER | {"transfer_to_researcher": 1}, 2),
        )
        for api in (None, "responses")
    ),
    *(
        Program(
            *("pydantic_ai_agent.py", "agents", "AAAAAAAAAA", provider),
            agents=PLANNER_ASKING,
            wire_agents=PLANNER_ASKING,
            tools=times(ASKING, 2),
            environment=BUILD_MODELS,
        )
        for provider in (None, "anthropic")
    ),
    Program(
        *("smolagents_agent.py", "agents", "A" * 6 + "B" * 12),
        agents={"planner": 18},
        tools={"get_weather": 15, "get_price": 15},
    ),
    Program(
        *("strands_agent.py", "toolkits", "AAAAAAAAAA"),
        agents=PLANNER_ASKING,
        wire_agents=PLANNER_ASKING,
        tools=times(ASKING, 2),
    ),
    # neither traces itself, nor has it an instrumentor in an extra: no span names its agents
    Program("agno_team.py", "toolkits", "AAAAAAB", tools=times(TURN, 2)),
    Program("haystack_agent.py", "toolkits", "AAAAAA", tools=times(TURN, 2)),
    Program(
        *("claude_agent.py", "toolkits", "A"),
        # what the CLI calls itself where the SDK has started it
        agents={"sdk": 1},
        wire_agents={"sdk": 1},
        wrong={"calls": CLI_TEXT, "times": CLI_TIMES},
    ),
    Program(
        # the swarm's agents keep histories of their own, which share no answer
        *("autogen_team.py", "microsoft", "AAAAAABBCCCCCC"),
        agents={"planner": 8, "researcher": 6},
        wire_agents={"planner": 8, "researcher": 6},
        tools=times(TURN, 2)
        | {"get_weather": 5, "get_price": 3, "transfer_to_researcher": 1, "lookup": 1},
    ),
    Program(
        *("agent_framework_agent.py", "microsoft", "AAAAAA"),
        agents=PLANNER,
        wire_agents=PLANNER,
        tools=times(TURN, 2),
    ),
    Program(
        *("sk_agent.py", "microsoft", "AAAAAA"),
        agents=PLANNER,
        wire_agents=PLANNER,
        tools={"Trips-get_weather": 4, "Trips-get_price": 2},
    ),
    Program("ag2_chat.py", "ag2", "AAAA", tools=TURN),
    Program(
        *("adk_agent.py", "google", "AAAAAA"),
        agents=PLANNER,
        wire_agents=PLANNER,
        tools={"get_weather": 2, "get_price": 2, "transfer_to_agent": 2},
    ),
    Program(
        *("llama_index_agent.py", "llama-index", "AAABBBBBB"),
        agents={"planner": 9},
        tools={"get_weather": 5, "get_price": 2, "handoff": 1},
    ),
    Program(
        *("crewai_crew.py", "crewai", "AAAAA"),
        agents={"planner": 3, "researcher": 2},
        tools=TURN | {"lookup": 1},
        # the second task's prompt holds the first's result as text, no answer of it
        wire_conversations="AAABB",
    ),
)

OWN_TIMES = "its own span begins and ends with what the library does around the request"
NO_SPANS = "LangSmith's JavaScript client hands no run to OpenTelemetry here"
JAVASCRIPT = (
    # its instrumentor passes no usage of streams on
    Program(
        *("openai_node.mjs", "js", "AAAAB"),
        tools=TURN,
        unsaid=frozenset({4}),
        wrong={
            "calls": "its instrumentor never ends the span of a refused request",
            "times": "its instrumentor tells no first token",
        },
    ),
    Program(
        *("anthropic_node.mjs", "js", "AB"),
        wrong={"calls": "the SDK's own spans hold no text", "times": OWN_TIMES},
    ),
    *(
        Program(
            *(file, "js", letters), tools=tools, wrong={"calls": NO_SPANS, "structure": NO_SPANS}
        )
        for file, letters, tools in (
            ("langgraph.mjs", "AAABBB", times(TURN, 2)),
            ("langgraph2.mjs", "AAA", TURN),
        )
    ),
    # refuses the model of the AI SDK's provider before it asks
    Program("mastra.mjs", "js", "", exit_code=1),
    *(
        Program(
            *("vercel.mjs", "js", "A" * 10, api),
            agents=PLANNER_ASKING,
            tools=times(ASKING, 2),
            wrong={"times": OWN_TIMES},
        )
        for api in (None, "responses")
    ),
)
