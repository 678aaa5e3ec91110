"""Turn spans into facts: sessions, agents, LLM calls, tool calls.

Pure. The input is a whole trace, plus the traces that describe the same calls, in any order, so a
parent that arrives late does not change the result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from phasewise_store.facts import Agent, LlmCall, Outcome, Session, SideCall, Span, ToolCall

from phasewise_collector.dialects import aliases, evidence, tool_text
from phasewise_collector.dialects.calls import Made, make_call, make_call_of_pieces
from phasewise_collector.dialects.content import Taken
from phasewise_collector.dialects.descriptions import groups
from phasewise_collector.dialects.labels import outcome
from phasewise_collector.dialects.log_records import KIND as LOG
from phasewise_collector.dialects.side_calls import side_calls
from phasewise_collector.dialects.tree import Tree, key_of, text_of


@dataclass(frozen=True, slots=True)
class Derived:
    """The facts of one trace, or of several that belong together."""

    sessions: tuple[Session, ...]
    agents: tuple[Agent, ...]
    llm_calls: tuple[LlmCall, ...]
    tool_calls: tuple[ToolCall, ...]
    spans: tuple[Span, ...]
    """with their session and agent"""
    made: tuple[Made, ...] = ()
    """the calls, with the spans behind each"""
    outcomes: tuple[Outcome, ...] = ()
    side_calls: tuple[SideCall, ...] = ()


def derive(taken: Sequence[Taken]) -> Derived:
    """Derive the facts from all of the spans known so far."""
    tree = Tree(taken)
    made = tuple(_calls(tree))
    calls = tuple(one.call for one in made)
    tools = tuple(_tools(tree))
    beside = tuple(side_calls(tree))
    at_work: tuple[LlmCall | ToolCall | SideCall, ...] = (*calls, *tools, *beside)
    agents = tree.agents({one.agent_id for one in at_work})
    sessions = {agent.session_id for agent in agents}
    return Derived(
        tuple(Session(session_id) for session_id in sorted(sessions)),
        tuple(agents),
        calls,
        tools,
        tuple(tree.placed()),
        made,
        tuple(_outcomes(tree)),
        beside,
    )


def _outcomes(tree: Tree) -> Iterator[Outcome]:
    for key, one in tree.taken.items():
        said = outcome(one.span, tree.session(key))
        if said is not None:
            yield said


def _calls(tree: Tree) -> Iterator[Made]:
    pieces: dict[str, list[str]] = {}
    for key, kind in tree.kinds.items():
        if kind == "message":
            span = tree.span(key)
            parent = f"{span.trace_id}-{span.parent_span_id}" if span.parent_span_id else ""
            pieces.setdefault(parent, []).append(key)
    pieces.pop("", None)
    called: list[str] = []
    for members in groups(tree):
        belonging = [key for member in members for key in pieces.pop(member, ())]
        if not belonging and not evidence.is_request(tree, members):
            continue
        called += members
        yield make_call(tree, members, belonging)
    for key in evidence.summing_spans(tree, called):
        yield _of_sum(make_call(tree, [key]))
    for parent, keys in pieces.items():
        if parent not in tree.taken:
            trace_id, _, span_id = parent.partition("-")
            yield make_call_of_pieces(tree, trace_id, span_id, keys)


def _of_sum(made: Made) -> Made:
    """Flag a call that may be the sum of several: no span says how many there were."""
    usage = made.call.usage
    high = usage.input_tokens_high or usage.input_tokens
    return replace(
        made,
        call=replace(made.call, usage=replace(usage, ambiguous=True, input_tokens_high=high)),
    )


def _tools(tree: Tree) -> Iterator[ToolCall]:
    records = _records_of_tools(tree)
    described = {record for found in records.values() for record in found}
    for key, kind in tree.kinds.items():
        span = tree.span(key)
        if kind != "tool" or key in described:
            continue
        text = tree.taken[key].tool_text
        for record in records.get(key, ()):
            text = text.or_else(tree.taken[record].tool_text)
        yield ToolCall(
            tool_call_id=key_of(span),
            session_id=tree.session(key),
            agent_id=tree.agent(key).agent_id,
            name=text_of(span, aliases.TOOL) or span.name,
            started_ns=span.start_ns,
            duration_ns=max(0, span.end_ns - span.start_ns),
            error=_error(span),
            trace_id=span.trace_id,
            span_id=span.span_id,
            arguments=text.arguments,
            result=text.result,
        )


def _records_of_tools(tree: Tree) -> dict[str, list[str]]:
    """Return the log records of each tool whose span is there: they are no runs of their own."""
    found: dict[str, list[str]] = {}
    for key, kind in tree.kinds.items():
        if kind == "tool" and tree.span(key).kind == LOG:
            tool = next((one for one in tree.above(key) if tree.kinds[one] == "tool"), None)
            if tool is not None:
                found.setdefault(tool, []).append(key)
    return found


def _error(span: Span) -> str | None:
    if span.status == "error":
        return span.status_message or "the span has an error status without a message"
    failed = span.attributes.get("success") in (False, "false")
    return tool_text.FAILED if failed else None
