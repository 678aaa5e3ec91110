"""Changes that are made in a request body itself: markers, roles, fields around the content."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.causes import Cause

from tests.analyzer.diagnosis.shapes import HISTORY, Body

BodyChange = Callable[[random.Random, str, Body, Body], bool]
"""changes two bodies in place; False where it cannot"""


@dataclass(frozen=True, slots=True)
class BodyMutation:
    """One kind of change."""

    cause: Cause | None
    """None for a change that is no break"""
    change: BodyChange


def _marker_moved(rng: random.Random, shape: str, old: Body, new: Body) -> bool:
    if shape == "gemini":
        return False
    for body in (old, new):
        history = body[HISTORY[shape]]
        places = [message for message in history if "content" in message]
        _mark(rng.choice(places) if body is old else places[-1], rng)
        if rng.random() < 0.5:
            rng.choice(body["tools"])["cache_control"] = {"type": "ephemeral"}
        if isinstance(body.get("system"), list) and rng.random() < 0.5:
            body["system"][-1]["cache_control"] = {"type": "ephemeral", "ttl": "1h"}
    return True


def _mark(message: dict[str, Any], rng: random.Random) -> None:
    if isinstance(message["content"], str):
        message["content"] = [{"type": "text", "text": message["content"]}]
    name = rng.choice(["cache_control", "prompt_cache_breakpoint"])
    message["content"][-1][name] = {"type": "ephemeral"}


def _role_changed(rng: random.Random, shape: str, old: Body, new: Body) -> bool:
    others = {"user": "assistant", "assistant": "user", "model": "user", "system": "developer"}
    if shape == "gemini":
        others["user"] = "model"
    history = new[HISTORY[shape]]
    plain = [
        at
        for at, message in enumerate(history[: len(old[HISTORY[shape]]) - 2])
        if message.get("role") in others
    ]
    message = history[rng.choice(plain)]
    message["role"] = others[message["role"]]
    return True


def _nulls_added(rng: random.Random, shape: str, old: Body, new: Body) -> bool:
    """Write an answer of the model as an SDK's dump does."""
    history = new[HISTORY[shape]][: len(old[HISTORY[shape]]) - 1]
    if shape == "chat":
        message = rng.choice([one for one in history if one["role"] == "assistant"])
        message |= {"refusal": None, "annotations": [], "audio": None, "function_call": None}
    elif shape == "responses":
        message = rng.choice([one for one in history if one.get("type") == "message"])
        message |= {"id": "msg_68f0a1c2", "status": "completed"}
    elif shape == "anthropic":
        message = rng.choice([one for one in history if one["role"] == "assistant"])
        for block in message["content"]:
            if block["type"] == "text":
                block["citations"] = None
    else:
        calls = [part for one in history for part in one["parts"] if "functionCall" in part]
        if not calls:
            return False
        rng.choice(calls)["functionCall"]["id"] = "fc_1"
    return True


def _text_in_two_parts(rng: random.Random, shape: str, old: Body, new: Body) -> bool:
    key, name = ("parts", "text") if shape == "gemini" else ("content", "text")
    users = [
        one
        for one in new[HISTORY[shape]][: len(old[HISTORY[shape]]) - 1]
        if one.get("role") == "user"
    ]
    message = rng.choice(users)
    if isinstance(message[key], str):
        message[key] = [{"type": "text", "text": message[key]}]
    blocks = message[key]
    at = next((at for at, block in enumerate(blocks) if isinstance(block.get(name), str)), None)
    if at is None:
        return False
    text = blocks[at][name]
    half = len(text) // 2
    blocks[at : at + 1] = [{**blocks[at], name: text[:half]}, {**blocks[at], name: text[half:]}]
    return True


def _detail(rng: random.Random, shape: str, old: Body, new: Body) -> bool:
    """Ask for another resolution of an image."""
    del rng
    for message in new[HISTORY[shape]][: len(old[HISTORY[shape]])]:
        blocks = message.get("content", message.get("parts"))
        for block in blocks if isinstance(blocks, list) else ():
            if block.get("type") == "image_url":
                block["image_url"]["detail"] = "low"
            elif block.get("type") == "input_image":
                block["detail"] = "low"
            elif "inlineData" in block:
                block["mediaResolution"] = {"level": "low"}
            else:
                continue
            return True
    return False


def _sampling(rng: random.Random, shape: str, old: Body, new: Body) -> bool:
    """Change what steers sampling and accounting."""
    del old, shape
    new |= {
        "temperature": rng.random(),
        "top_p": 0.3,
        "max_tokens": rng.randint(1, 900),
        "stop": ["END"],
        "seed": rng.randint(1, 99),
        "stream": True,
        "user": "ada",
        "metadata": {"user_id": str(rng.random())},
    }
    return True


BODY_CHANGES: Mapping[str, BodyMutation] = {
    "marker moved": BodyMutation(None, _marker_moved),
    "sampling changed": BodyMutation(None, _sampling),
    "role changed": BodyMutation(causes.ROLE_CHANGED, _role_changed),
    "fields around": BodyMutation(causes.RE_RENDERED, _nulls_added),
    "text in two parts": BodyMutation(causes.RE_RENDERED, _text_in_two_parts),
    "image detail": BodyMutation(causes.IMAGE, _detail),
}
