"""Claude Agent SDK: the bundled CLI against the fake server; one query."""

import phasewise

phasewise.init()
import sys, asyncio, os

os.environ |= {
    "ANTHROPIC_BASE_URL": sys.argv[1],
    "ANTHROPIC_API_KEY": "x",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
}
from claude_agent_sdk import query, ClaudeAgentOptions


async def main():
    async for m in query(
        prompt="plan a trip",
        options=ClaudeAgentOptions(model="claude-sonnet-4-5", max_turns=3, allowed_tools=[]),
    ):
        print(type(m).__name__)


asyncio.run(main())
