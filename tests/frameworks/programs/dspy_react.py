"""DSPy ReAct (over litellm): two tools."""

import phasewise

phasewise.init()
import sys, dspy

dspy.configure(
    lm=dspy.LM("openai/gpt-4o-mini", api_base=sys.argv[1] + "/v1", api_key="x", cache=False)
)


def get_weather(city: str) -> str:
    return "21"


def get_price(item: str) -> str:
    return "3"


agent = dspy.ReAct("question -> answer", tools=[get_weather, get_price], max_iters=4)
print(agent(question="plan a trip").answer)
