"""Show one session step by step, or one call with its prompt.

ID is the id of a session or a call, as printed by `phasewise sessions` and `phasewise calls`.
"""

import argparse

from phasewise_analyzer import timeline
from phasewise_analyzer.chat_messages.readable import readable
from phasewise_analyzer.findings import SideStep, Step, Timeline
from phasewise_reports.words import count, excerpt, seconds, usd
from phasewise_store import reads
from phasewise_store.facts import Segment

from phasewise_web.cli.numbers import share
from phasewise_web.cli.open_database import analysed
from phasewise_web.cli.output import print_json, stdout, table

NAME = "show"

EXCERPT_CHARACTERS = 100
TOOL_CHARACTERS = 40
"""shown of a tool's arguments, result and error each; --json has the full text"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the id and --json."""
    parser.add_argument("id", metavar="ID", help="id of a session or a call")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the session or the call."""
    with analysed(arguments.db) as store:
        there = store.frame("SELECT 1 FROM llm_calls WHERE call_id = $id", {"id": arguments.id})
        if not there.height:
            found = timeline.timeline(store, arguments.id)
            print_json(found) if arguments.json else _print_session(found)
            return 0
        prompt = reads.prompt(store, arguments.id)
        step = timeline.call_step(store, arguments.id, prompt)
        output = reads.output(store, arguments.id)
    if arguments.json:
        print_json({"step": step, "prompt": _plain(prompt), "output": _plain(output)})
    else:
        _print_call(step, prompt, output)
    return 0


def _print_session(found: Timeline) -> None:
    row = found.row
    wall = f", {seconds(found.wall_ns)} s" if found.wall_ns else ""
    stdout.print(
        f"{row.session_id}: {row.name or ''} ({row.source}{wall}) {row.outcome or ''}",
        highlight=False,
        markup=False,
    )
    said = [
        *(f"user {one}" for one in row.users),
        *(f"customer {one}" for one in row.customers),
        *(f"version {one}" for one in row.versions),
        *(f"tag {one}" for one in row.tags),
    ]
    if row.revenue_usd is not None:
        said.append(f"revenue {row.revenue_usd:,.2f} USD")
    if said:
        stdout.print("; ".join(said), highlight=False, markup=False)
    columns = (
        ("step", True),
        ("agent", False),
        ("name", False),
        ("start s", True),
        ("duration s", True),
        ("input", True),
        ("cached %", True),
        ("output", True),
        ("prefill s", True),
        ("decode s", True),
        ("basis", False),
        ("$", True),
    )
    table("", columns, [_cells(step) for step in found.steps])
    if found.side_calls:
        _print_side_calls(found.side_calls)


def _print_side_calls(side_calls: tuple[SideStep, ...]) -> None:
    columns = (
        ("kind", False),
        ("agent", False),
        ("model", False),
        ("start s", True),
        ("duration s", True),
        ("input", True),
        ("$", True),
    )
    cells = [
        [
            *(one.kind, one.agent, one.model or "model unknown"),
            *(seconds(one.start_ns), seconds(one.duration_ns)),
            *(count(one.input_tokens), usd(one.total_usd)),
        ]
        for one in side_calls
    ]
    table("", columns, cells)


def _cells(step: Step) -> list[str]:
    start = [str(step.step), "  " * step.depth + step.agent]
    times = [seconds(step.start_ns), seconds(step.duration_ns)]
    if step.kind == "tool":
        return [*start, f"  -> {_tool(step)}", *times, *[""] * 7]
    cached = share(step.cache_read_tokens, step.input_tokens) if step.cache_reported else "-"
    return [
        *start,
        step.name,
        *times,
        count(step.input_tokens),
        cached,
        count(step.output_tokens),
        seconds(step.prefill_ns),
        seconds(step.decode_ns),
        step.basis,
        usd(step.total_usd),
    ]


def _tool(step: Step) -> str:
    """Return a tool call: its name and the start of its arguments, result and error."""
    said = [step.name]
    if step.arguments:
        said.append(excerpt(step.arguments, TOOL_CHARACTERS))
    if step.result:
        said.append(f"=> {excerpt(step.result, TOOL_CHARACTERS)}")
    if step.error:
        said.append(f"error: {excerpt(step.error, TOOL_CHARACTERS)}")
    return " ".join(said)


def _print_call(step: Step, prompt: tuple[Segment, ...], output: tuple[Segment, ...]) -> None:
    stdout.print(f"{step.id}: {step.name}, {step.agent}", highlight=False, markup=False)
    stdout.print(
        f"{step.input_tokens:,} input tokens, {step.sent_before_tokens:,} sent before, "
        f"{_cached(step)}; {step.output_tokens:,} output tokens; "
        f"{usd(step.total_usd)} USD ({step.price_source or 'no price known'})",
        highlight=False,
    )
    _print_replayable(step)
    cells = [
        [str(place), segment.kind, segment.role or "", count(segment.tokens), _excerpt(segment)]
        for place, segment in enumerate((*prompt, *output))
    ]
    columns = (("", True), ("kind", False), ("role", False), ("tokens", True), ("text", False))
    table("", columns, cells)


def _cached(step: Step) -> str:
    return f"{step.cache_read_tokens:,} cached" if step.cache_reported else "cache not reported"


def _print_replayable(step: Step) -> None:
    """Print how exactly the call can be sent again, and what a replay changes."""
    if step.replayable is None:
        return
    why = "; ".join(step.gaps) or "it can be sent again as recorded"
    lines = [f"replayable {step.replayable:.0%}: {why}"]
    if step.changes:
        lines.append(f"a replay on an engine changes: {'; '.join(step.changes)}")
    for line in lines:
        stdout.print(line, highlight=False, markup=False, soft_wrap=True)


def _excerpt(segment: Segment) -> str:
    if segment.content is None:
        return f"hash {segment.digest.hex()[:12]}"
    return excerpt(readable(segment), EXCERPT_CHARACTERS)


def _text(segment: Segment) -> str:
    return (segment.content or b"").decode("utf-8", "replace")


def _plain(segments: tuple[Segment, ...]) -> list[dict[str, object]]:
    return [
        {
            "kind": segment.kind,
            "role": segment.role,
            "tokens": segment.tokens,
            "digest": segment.digest.hex(),
            "text": None if segment.content is None else _text(segment),
        }
        for segment in segments
    ]
