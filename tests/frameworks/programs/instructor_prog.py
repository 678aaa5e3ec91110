"""instructor over openai: a typed answer through a forced tool."""

import phasewise

phasewise.init()
import sys, instructor
from openai import OpenAI
from pydantic import BaseModel


class Trip(BaseModel):
    city: str
    days: int


c = instructor.from_openai(OpenAI(base_url=sys.argv[1] + "/v1", api_key="x"))
for q in ("plan", "plan again"):
    c.chat.completions.create(
        model="gpt-4o-mini", response_model=Trip, messages=[{"role": "user", "content": q}]
    )
