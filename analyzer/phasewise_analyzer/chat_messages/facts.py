"""What normalising a prompt gives: messages, tools, and what had to be changed.  Facts only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Thinking = Literal["drop", "text"]
"""what becomes of an answer's reasoning in the history: chat templates drop it, so that is usual"""

Change = Literal[
    "rewritten",
    "thinking",
    "images",
    "image_tokens",
    "documents",
    "document_tokens",
    "server_tools",
    "unknown_parts",
    "late_system",
    "new_ids",
    "arguments",
    "no_result",
    "stray_results",
    "empty",
    "tools_rewritten",
    "provider_tools",
]
Changes = Mapping[Change, int]

_WORDS: Mapping[Change, tuple[str, str]] = {
    "thinking": ("thinking dropped: {} block", "thinking dropped: {} blocks"),
    "images": ("{} image replaced by", "{} images replaced by"),
    "documents": ("{} document or recording replaced by", "{} documents or recordings replaced by"),
    "server_tools": (
        "{} part of a provider's own tool sent as text",
        "{} parts of a provider's own tools sent as text",
    ),
    "unknown_parts": (
        "{} part of an unknown type sent as JSON",
        "{} parts of unknown types sent as JSON",
    ),
    "late_system": (
        "{} later system message sent as a user message",
        "{} later system messages sent as user messages",
    ),
    "new_ids": ("{} tool call got a new id", "{} tool calls got new ids"),
    "arguments": (
        "arguments of {} tool call were not a JSON object: sent as its `input`",
        "arguments of {} tool calls were not JSON objects: sent as their `input`",
    ),
    "no_result": (
        "{} tool call without a result answered by a note",
        "{} tool calls without a result answered by a note",
    ),
    "stray_results": (
        "{} tool result without its call sent as text",
        "{} tool results without their calls sent as text",
    ),
    "empty": ("{} empty message left out", "{} empty messages left out"),
    "provider_tools": (
        "{} provider tool sent by name, without a schema",
        "{} provider tools sent by name, without schemas",
    ),
    "rewritten": (
        "{} message rewritten for a chat endpoint",
        "{} messages rewritten for a chat endpoint",
    ),
    "tools_rewritten": (
        "{} tool definition rewritten for a chat endpoint",
        "{} tool definitions rewritten for a chat endpoint",
    ),
}
"""what a person reads, for one and for many; what loses most comes first"""
_TOKENS: Mapping[Change, Change] = {"images": "image_tokens", "documents": "document_tokens"}
_FORM_ONLY: frozenset[Change] = frozenset({"rewritten", "tools_rewritten"})


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A prompt as a chat endpoint takes it."""

    messages: tuple[bytes, ...]
    """the JSON of each message; as recorded where that can be sent"""
    tools: tuple[bytes, ...]
    """the JSON of each tool definition in OpenAI's form"""
    changes: Changes = field(default_factory=dict)
    """how often what was changed"""


def in_words(changes: Changes) -> tuple[str, ...]:
    """Say what was changed, e.g. `thinking dropped: 3 blocks`."""
    said = []
    for change, forms in _WORDS.items():
        count = changes.get(change, 0)
        if not count:
            continue
        words = forms[count != 1].format(f"{count:,}")
        tokens = _TOKENS.get(change)
        said.append(words if tokens is None else f"{words} {changes[tokens]:,} tokens of text")
    return tuple(said)


def loses(changes: Changes) -> bool:
    """Return whether the model reads something else, not only the same in another form."""
    return any(count for change, count in changes.items() if change not in _FORM_ONLY)
