"""AG2 (the fork of AutoGen 0.2): a chat of two agents with tools."""

import phasewise

phasewise.init()
import sys
from autogen import ConversableAgent, register_function

cfg = {
    "config_list": [
        {
            "model": "gpt-4o-mini",
            "base_url": sys.argv[1] + "/v1",
            "api_key": "x",
            "api_type": "openai",
        }
    ]
}
planner = ConversableAgent(
    "planner", llm_config=cfg, system_message="You plan trips. " * 40, human_input_mode="NEVER"
)
user = ConversableAgent(
    "user",
    llm_config=False,
    human_input_mode="NEVER",
    max_consecutive_auto_reply=4,
    default_auto_reply="",
)


def get_weather(city: str) -> str:
    return "21"


def get_price(item: str) -> str:
    return "3"


for f in (get_weather, get_price):
    register_function(f, caller=planner, executor=user, name=f.__name__, description=f.__name__)
user.initiate_chat(planner, message="plan a trip", max_turns=4, silent=True)
