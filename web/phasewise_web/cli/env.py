"""Print the settings that make a tool with its own telemetry report to Phasewise.

For example:  eval "$(phasewise env claude-code)" && claude
Environment variables are printed as `export` lines. For a tool without such variables, prints the
lines to add to its configuration file.
"""

import argparse
import json
from dataclasses import dataclass

from phasewise.claude_agent_sdk import TELEMETRY
from phasewise_store.errors import UsageError

from phasewise_web import serving
from phasewise_web.cli.messages import say

NAME = "env"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that can send OTLP on its own."""

    what: str
    lines: tuple[str, ...]
    """`{http}` and `{grpc}` stand for the collector's addresses"""
    place: str | None = None
    """the configuration file that the lines go into; None: environment variables"""
    note: str = ""


TOOLS = {
    "claude-code": Tool(
        "Claude Code: spans, and logs with cost",
        (
            "CLAUDE_CODE_ENABLE_TELEMETRY=1",
            "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA=1",
            "OTEL_TRACES_EXPORTER=otlp",
            "OTEL_LOGS_EXPORTER=otlp",
            "OTEL_METRICS_EXPORTER=otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT={http}",
        ),
        note="prompts are sent only with OTEL_LOG_USER_PROMPTS=1; to read its session files, which "
        "contain every message:  phasewise import ~/.claude/projects",
    ),
    "claude-agent-sdk": Tool(
        "Claude Agent SDK: the environment of the CLI it starts",
        tuple(f"{name}={value}" for name, value in TELEMETRY.items()),
        note="phasewise.init() in the program does the same",
    ),
    "codex": Tool(
        "Codex: logs with token counts",
        (
            "[otel]",
            'exporter = {{ otlp-http = {{ endpoint = "{http}/v1/logs", protocol = "binary" }} }}',
            "log_user_prompt = false",
        ),
        place="~/.codex/config.toml",
        note="to read its session files, which contain every message:  phasewise import "
        "~/.codex/sessions",
    ),
    "gemini-cli": Tool(
        "Gemini CLI",
        (
            "GEMINI_TELEMETRY_ENABLED=true",
            "GEMINI_TELEMETRY_TARGET=local",
            "GEMINI_TELEMETRY_OTLP_PROTOCOL=grpc",
            "GEMINI_TELEMETRY_OTLP_ENDPOINT=http://{grpc}",
        ),
    ),
    "vercel-ai": Tool(
        "Vercel AI SDK in Node, with @vercel/otel or the OpenTelemetry SDK",
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT={http}",
        ),
        note="set experimental_telemetry: {{ isEnabled: true }} on the calls of versions before 7",
    ),
    "langsmith": Tool(
        "LangChain with LangSmith's SDK, redirected to Phasewise",
        (
            "LANGSMITH_TRACING=true",
            "LANGSMITH_OTEL_ENABLED=true",
            "LANGSMITH_OTEL_ONLY=true",
            "OTEL_EXPORTER_OTLP_ENDPOINT={http}",
        ),
    ),
    "vllm": Tool(
        "vLLM: a span per request, with queue, prefill and decode times",
        ("vllm serve MODEL --otlp-traces-endpoint http://{grpc} --collect-detailed-traces=all",),
        place="the command line",
        note="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf with {http}/v1/traces works as well",
    ),
    "opentelemetry": Tool(
        "any program with the OpenTelemetry SDK",
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT={http}",
            "OTEL_ATTRIBUTE_COUNT_LIMIT=20000",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=20000",
        ),
        note="the limits keep long prompts complete: the default of 128 drops the oldest messages",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tool, and the addresses."""
    parser.add_argument("tool", nargs="?", metavar="TOOL", help=f"one of {', '.join(TOOLS)}")
    parser.add_argument(
        "--host", default=serving.HOST, help="host of the collector (default: %(default)s)"
    )
    parser.add_argument(
        "--otlp-port",
        type=int,
        default=serving.OTLP_PORT,
        help="port of OTLP/HTTP (default: %(default)s)",
    )
    parser.add_argument(
        "--grpc-port",
        type=int,
        default=serving.GRPC_PORT,
        help="port of OTLP/gRPC (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the settings on stdout, and notes about them on stderr."""
    tool = TOOLS.get(arguments.tool)
    if tool is None:
        known = "\n".join(f"  {name:<18}{one.what}" for name, one in TOOLS.items())
        wrong = "name a tool" if arguments.tool is None else f"unknown tool `{arguments.tool}`"
        raise UsageError(f"{wrong}; the tools are:\n{known}")
    http = f"http://{arguments.host}:{arguments.otlp_port}"
    grpc = f"{arguments.host}:{arguments.grpc_port}"
    lines = [line.format(http=http, grpc=grpc) for line in tool.lines]
    note = tool.note.format(http=http, grpc=grpc)
    if arguments.json:
        found = {"tool": arguments.tool, "place": tool.place, "lines": lines, "note": note}
        print(json.dumps(found, indent=2))  # noqa: T201  # the result
        return 0
    if tool.place is not None:
        say(f"# add to {tool.place}:")
    for line in lines:
        print(line if tool.place is not None else f"export {line}")  # noqa: T201  # for `eval`
    if note:
        say(f"# {note}")
    return 0
