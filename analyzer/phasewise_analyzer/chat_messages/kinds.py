"""Classify a part of a message, in any API's spelling.

The kind is looked up without case, `_` and `-`, whether it is in `type` (Anthropic, OpenAI, Vercel)
or is itself a key (Bedrock's `toolUse`, Gemini's `functionCall`).
"""

import re
from collections.abc import Mapping
from typing import Literal

Block = Mapping[str, object]
Kind = Literal[
    "text", "thinking", "call", "result", "served", "data", "inner", "json", "nothing", "unknown"
]

_SIGNS = re.compile(r"[^a-z0-9]")
_SPELLINGS: Mapping[Kind, str] = {
    "text": "text inputtext outputtext summarytext refusal errortext guardcontent",
    "thinking": "thinking redactedthinking reasoning reasoningtext reasoningcontent thought",
    "call": "tooluse toolcall functioncall customtoolcall localshellcall shellcall applypatchcall "
    "computercall",
    "result": "toolresult toolresponse toolcallresponse toolcallresult functionresponse",
    # what a provider ran itself, between two parts of its answer
    "served": "servertooluse mcptooluse servertoolcall servertoolcallresponse executablecode "
    "codeexecutionresult",
    "data": "image imageurl inputimage imagefile inlinedata filedata document video videourl audio "
    "inputaudio audiourl file inputfile media blob uri containerupload imagegenerationcall",
    "inner": "message content searchresult",
    "json": "json errorjson",
    "nothing": "cachepoint cachecontrol stepstart itemreference thoughtsignature",
}
_KINDS: Mapping[str, Kind] = {
    spelling: kind for kind, spellings in _SPELLINGS.items() for spelling in spellings.split()
}
_LAST = frozenset({"text", "content", "cachecontrol", "thoughtsignature", "thought", "refusal"})
"""keys that may also stand beside the one that says the kind"""


def kind_of(block: Block) -> tuple[Kind, Block]:
    """Return a part's kind, and the object that holds its fields."""
    named = block.get("type")
    if isinstance(named, str) and named:
        return _of_type(squeezed(named), block), block
    if block.get("thought") is True:
        return "thinking", block
    first: list[tuple[Kind, object]] = []
    last: list[tuple[Kind, object]] = []
    for key, value in block.items():
        name = squeezed(key)
        if name in _KINDS:
            (last if name in _LAST else first).append((_KINDS[name], value))
    for kind, value in first or last:
        return kind, value if first and isinstance(value, Mapping) and kind != "json" else block
    return "unknown", block


def squeezed(name: str) -> str:
    """Return a name without case and signs: `tool_use`, `toolUse` and `tool-use` are one."""
    return _SIGNS.sub("", name.lower())


def _of_type(name: str, block: Block) -> Kind:
    known = _KINDS.get(name)
    if known is not None:
        return known
    if name.endswith(("calloutput", "calloutputs")):
        return "result"
    if name.endswith("call"):
        # the Responses API: a call that nobody has to answer ran at the provider
        return "call" if block.get("call_id") else "served"
    return "served" if name.endswith("toolresult") else "unknown"
