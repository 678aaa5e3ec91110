"""A small agent with two tools, traced by Phasewise with one line.

    phasewise up                                          # in one terminal
    python examples/tool_agent.py --base-url http://127.0.0.1:8000/v1

It works with any OpenAI-compatible server (vLLM, SGLang, a hosted API; the key comes from
OPENAI_API_KEY). The agent itself decides which tool comes next, so it also works with a model that
never calls a tool. It shows a growing prompt, tool time between the calls, and streaming.
"""

import argparse
import json
import os
from collections.abc import Callable

import phasewise

phasewise.init()

from openai import OpenAI  # noqa: E402  # the tracer first, so that nothing is missed

ITEMS = {"kettle": 39.0, "lamp": 24.5, "chair": 89.0}

TOOLS: list[dict[str, object]] = [
    {
        "type": "function",
        "function": {
            "name": "price_of",
            "description": "Give the price of an item in euros.",
            "parameters": {
                "type": "object",
                "properties": {"item": {"type": "string"}},
                "required": ["item"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "total",
            "description": "Add up prices.",
            "parameters": {
                "type": "object",
                "properties": {"prices": {"type": "array", "items": {"type": "number"}}},
                "required": ["prices"],
            },
        },
    },
]


def price_of(item: str) -> float:
    """Look an item up."""
    return ITEMS[item]


def total(prices: list[float]) -> float:
    """Add prices up."""
    return sum(prices)


def main() -> None:
    """Ask the model before and after each tool, with all that was said so far."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base-url", default=os.environ.get("OPENAI_BASE_URL"))
    parser.add_argument("--model", help="as the server names it (default: the first it lists)")
    parser.add_argument("--session", help="name of the session")
    arguments = parser.parse_args()
    client = OpenAI(base_url=arguments.base_url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
    model = arguments.model or client.models.list().data[0].id
    with phasewise.session(arguments.session or f"shopping-{os.getpid()}"):
        shop(client, model)


def shop(client: OpenAI, model: str) -> None:
    """Buy a kettle and a lamp."""
    with phasewise.agent("shopping-agent"):
        history: list[dict[str, object]] = [
            {"role": "system", "content": "You are a careful shopper. " * 40},
            {"role": "user", "content": "What do a kettle and a lamp cost together?"},
        ]
        ask(client, model, history)
        prices = [use(history, "price_of", price_of, item=item) for item in ("kettle", "lamp")]
        ask(client, model, history)
        use(history, "total", total, prices=prices)
        print(ask(client, model, history))


def ask(client: OpenAI, model: str, history: list[dict[str, object]]) -> str:
    """Stream one answer and remember it."""
    stream = client.chat.completions.create(  # type: ignore[call-overload]  # plain dictionaries
        model=model,
        messages=history,
        tools=TOOLS,
        tool_choice="none",
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
    )
    text = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
    history.append({"role": "assistant", "content": text})
    return text


def use(
    history: list[dict[str, object]],
    name: str,
    tool: Callable[..., float],
    **arguments: object,
) -> float:
    """Run a tool and remember what it said."""
    with phasewise.tool(name):
        result = tool(**arguments)
    history.append({"role": "user", "content": f"{name}({json.dumps(arguments)}) gave {result}"})
    return result


if __name__ == "__main__":
    main()
