import sys
from openai import OpenAI

print(
    OpenAI(base_url=sys.argv[1] + "/v1", api_key="x")
    .chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
    .usage.prompt_tokens
)
