"""google-genai: a tool loop through a chat (automatic function calling), a stream, async."""

import phasewise

phasewise.init()
import sys, asyncio
from google import genai
from google.genai import types

c = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=sys.argv[1]))


def get_weather(city: str) -> str:
    """Weather."""
    return "21"


def get_price(item: str) -> str:
    """Price."""
    return "3"


chat = c.chats.create(
    model="gemini-2.5-flash",
    config=types.GenerateContentConfig(
        system_instruction="You plan trips. " * 40, tools=[get_weather, get_price]
    ),
)
chat.send_message("plan a trip")
for _ in c.models.generate_content_stream(model="gemini-2.5-flash", contents="sum up"):
    pass
asyncio.run(c.aio.models.generate_content(model="gemini-2.5-flash", contents="async"))
try:
    c.models.generate_content(model="gemini-2.5-flash", contents="FAILALWAYS")
except Exception as e:
    print(type(e).__name__)
