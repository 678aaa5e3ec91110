"""Hold what the store says of one run against what the fake server answered."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from phasewise_store.store import Store

from tests.frameworks.expectations import Mode, Program
from tests.frameworks.running import Row

SLACK_NS = 15_000_000
SLACK_SHARE = 0.10
"""how far times may be from the server's own"""
WRITES_1H = 56
"""of the tokens that an Anthropic answer says were written to a cache"""

Call = Mapping[str, Any]

_CALLS = """
SELECT c.*, a.name AS agent, p.name AS parent
FROM llm_calls AS c
JOIN agents AS a USING (agent_id)
LEFT JOIN agents AS p ON p.agent_id = a.parent_agent_id
JOIN spans AS s ON s.trace_id = c.trace_id AND s.span_id = c.span_id
WHERE s.service_name = $run
ORDER BY c.started_ns
"""

_TOOLS = """
SELECT name, count(*) AS runs
FROM tool_calls
WHERE trace_id IN (SELECT trace_id FROM spans WHERE service_name = $run)
GROUP BY name
"""


class Judged:
    """The calls of one run beside the requests that the server answered."""

    def __init__(self, store: Store, run: str, requests: Sequence[Row]) -> None:
        self.calls: list[Call] = list(store.frame(_CALLS, {"run": run}).iter_rows(named=True))
        self.tools = dict(store.frame(_TOOLS, {"run": run}).iter_rows())
        self.answered = [row for row in requests if row["status"] in (200, "client left")]
        self.refused = [row for row in requests if row["status"] not in (200, "client left")]
        left = list(self.calls)
        self.pairs: list[tuple[Row, list[Call]]] = []
        for row in self.answered:
            found = _calls_of(row, left)
            left = [call for call in left if call not in found]
            self.pairs.append((row, found))
        self.other = left
        """calls that no answered request stands behind"""

    def faults_of_calls(self, program: Program) -> Iterator[str]:
        """Say which requests are not there once, whole, and which calls are too many."""
        for place, (row, found) in enumerate(self.pairs, start=1):
            which = f"request {place} ({row['api']}{', stream' if row['stream'] else ''})"
            if len(found) != 1:
                yield f"{which} is {len(found)} calls"
                continue
            call = found[0]
            if call["leaf_node"] == 0:
                yield f"{which} has no prompt"
            if call["model"] != row["model"]:
                yield f"{which} is of model {call['model']}, right is {row['model']}"
            if row["stream"] != bool(call["streamed"]):
                yield f"{which} is streamed: {call['streamed']}"
            if place not in self._left(program):
                yield from (
                    f"{which}: {fault}"
                    for fault in _tokens(row, call, said=place not in program.unsaid)
                )
        errors = sum(call["error"] is not None for call in self.other)
        failed = len(self.refused)
        if errors != failed:
            yield f"{errors} failed calls, right are {failed}"
        for call in self.other:
            if call["error"] is None:
                yield f"a call too many: {call['model']}, {call['input_tokens']} tokens read"

    def faults_of_times(self, program: Program) -> Iterator[str]:
        """Say which calls last longer or shorter, or begin to answer at another moment."""
        for place, (row, found) in enumerate(self.pairs, start=1):
            if len(found) != 1 or place in self._left(program):
                continue
            call = found[0]
            lasted = _ns(row["end"] - row["start"])
            if not _near(call["duration_ns"], lasted):
                yield f"request {place} lasts {_ms(call['duration_ns'])}, right is {_ms(lasted)}"
            if row["first"] is not None:
                first = _ns(row["first"] - row["start"])
                if not _near(call["ttft_ns"], first):
                    yield f"request {place}: TTFT {_ms(call['ttft_ns'])}, right is {_ms(first)}"

    def faults_of_structure(self, program: Program, mode: Mode) -> Iterator[str]:
        """Say where sessions, agents and tools are not those of the program."""
        found = [calls[0] for _, calls in self.pairs if len(calls) == 1]
        conversations = program.conversations
        if mode == "wire" and program.wire_conversations is not None:
            conversations = program.wire_conversations
        if self._stayed(program):
            conversations = conversations[:-1]
        letters = _letters([call["session_id"] for call in found])
        if letters != conversations:
            yield f"sessions are {letters}, right is {conversations}"
        agents = Counter(
            f"{call['parent']}>{call['agent']}" if call["parent"] else call["agent"]
            for call in found
        )
        wanted = program.agents if mode == "extra" else program.wire_agents
        right = {self._program_name(): len(found)} if wanted is None else dict(wanted)
        if agents != (right if found else {}):
            yield f"agents are {dict(agents)}, right is {right}"
        tools = program.tools
        if mode == "wire" and program.wire_tools is not None:
            tools = program.wire_tools
        if self.tools != tools:
            yield f"tools are {self.tools}, right is {dict(tools)}"

    def _stayed(self, program: Program) -> bool:
        """Say whether the request that may be cancelled before it leaves never arrived."""
        arrived = len(self.answered) == len(program.conversations)
        return program.may_stay is not None and not arrived

    def _left(self, program: Program) -> frozenset[int]:
        stayed = self._stayed(program)
        return program.left - {program.may_stay} if stayed else program.left

    def _program_name(self) -> str:
        return str(self.answered[0]["run"]) if self.answered else ""


def _calls_of(row: Row, calls: Sequence[Call]) -> list[Call]:
    """Give the calls of a request: those that its answer names, else that fit its tokens."""
    ends = tuple(f"{row['run']}{between}{row['n']}" for between in "-_")
    named = [call for call in calls if str(call["response_id"] or "").endswith(ends)]
    if named:
        return named
    return [
        call
        for call in calls
        if call["response_id"] is None and call["error"] is None and _overlaps(row, call)
    ][:1]


def _overlaps(row: Row, call: Call) -> bool:
    begun, ended = call["started_ns"], call["started_ns"] + (call["duration_ns"] or 0)
    at_once: bool = begun <= _ns(row["end"]) and ended >= _ns(row["start"])
    alike: bool = call["usage_origin"] != "reported" or call["input_tokens"] == row["in"]
    return at_once and alike


def _tokens(row: Row, call: Call, *, said: bool) -> Iterator[str]:
    if not (row["asked_usage"] and said):
        if call["usage_origin"] != "estimated":
            yield f"usage is {call['usage_origin']}, though the stream had none"
        return
    written = call["cache_write_5m_tokens"] + call["cache_write_1h_tokens"]
    pairs = {
        "input": (call["input_tokens"], row["in"]),
        "cache read": (call["cache_read_tokens"], row["cache_read"]),
        "cache write": (written, row["cache_write"]),
        "output": (call["output_tokens"], row["out"]),
        "reasoning": (call["reasoning_tokens"], row["reasoning"]),
        "origin": (call["usage_origin"], "reported"),
        "ambiguous": (call["ambiguous"], False),
        "1h cache write": (call["cache_write_1h_tokens"], WRITES_1H if row["cache_write"] else 0),
    }
    for name, (here, right) in pairs.items():
        if here != right:
            yield f"{name} is {here}, right is {right}"


def _letters(sessions: Sequence[str]) -> str:
    """Write sessions as letters, in the order in which they appear."""
    known: dict[str, str] = {}
    return "".join(known.setdefault(one, chr(ord("A") + len(known))) for one in sessions)


def _near(here_ns: int | None, right_ns: int) -> bool:
    return here_ns is not None and abs(here_ns - right_ns) <= SLACK_NS + SLACK_SHARE * right_ns


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _ms(nanoseconds: int | None) -> str:
    return "unknown" if nanoseconds is None else f"{nanoseconds / 1e6:.0f} ms"
