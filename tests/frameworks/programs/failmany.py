"""20 calls of a 100 KB prompt, all refused with 400: what does the cost page say they cost? (right: 0)"""

import phasewise

phasewise.init()
import sys
from openai import OpenAI

c = OpenAI(base_url=sys.argv[1] + "/v1", api_key="x", max_retries=0)
for i in range(20):
    try:
        c.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "FAILALWAYS " + "word " * 20000}]
        )
    except Exception:
        pass
