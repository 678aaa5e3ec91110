"""anthropic SDK: one refused call (400): is the reason kept?"""

import phasewise

phasewise.init()
import sys, anthropic

try:
    anthropic.Anthropic(base_url=sys.argv[1], api_key="x").messages.create(
        model="claude-sonnet-4-5",
        max_tokens=10,
        messages=[{"role": "user", "content": "FAILALWAYS"}],
    )
except anthropic.BadRequestError as e:
    print("raised", str(e)[:60])
