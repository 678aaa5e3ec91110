"""An openai loop whose tools are an MCP server's (stdio)."""

import phasewise

phasewise.init()
import sys, asyncio, json

if len(sys.argv) > 2:
    try:
        from mcp.server.fastmcp import FastMCP as Server
    except ImportError:
        from mcp.server import MCPServer as Server
    s = Server("trips")

    @s.tool()
    def get_weather(city: str) -> str:
        """Weather."""
        return "21"

    @s.tool()
    def get_price(item: str) -> str:
        """Price."""
        return "3"

    s.run("stdio")
    sys.exit()
from openai import AsyncOpenAI
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main():
    c = AsyncOpenAI(base_url=sys.argv[1] + "/v1", api_key="x")
    async with (
        stdio_client(
            StdioServerParameters(command=sys.executable, args=[__file__, sys.argv[1], "serve"])
        ) as (r, w),
        ClientSession(r, w) as s,
    ):
        await s.initialize()
        T = [
            {
                "type": "function",
                "function": {
                    "name": t.name,
                    "description": t.description,
                    "parameters": getattr(t, "inputSchema", None) or t.input_schema,
                },
            }
            for t in (await s.list_tools()).tools
        ]
        msgs = [{"role": "user", "content": "plan a trip"}]
        while True:
            m = (
                (await c.chat.completions.create(model="gpt-4o-mini", messages=msgs, tools=T))
                .choices[0]
                .message
            )
            msgs.append(m.model_dump(exclude_none=True))
            if not m.tool_calls:
                break
            for t in m.tool_calls:
                out = await s.call_tool(t.function.name, json.loads(t.function.arguments))
                msgs.append({"role": "tool", "tool_call_id": t.id, "content": str(out.content)})


asyncio.run(main())
