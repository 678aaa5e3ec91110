"""The catalogue of causes that break a prompt's prefix, each with its repair.

Data only; `diagnose.py` and `settings.py` decide which cause applies. Sources: the prompt caching
guides of Anthropic and OpenAI, and public issues of agent tools (2025-2026) with measurements.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """One way in which a prefix breaks."""

    name: str
    what: str
    """what happened, as a sentence"""
    fix: str
    """what to do about it"""
    wasteful: bool = True
    """False when the change is intended: the user went back, a compaction pays off"""


# values in the prefix that change

CLOCK = Cause(
    "clock",
    "the prefix contains a date or time",
    "move it into the last user message, or use only the day",
)
UNIQUE_ID = Cause(
    "unique id",
    "the prefix contains an id, nonce or hash that is new every time",
    "remove it, or send it as metadata outside the prompt",
)
COUNTER = Cause(
    "number",
    "the prefix contains a number that changes (a counter, a count, a remaining budget)",
    "move it after everything that stays the same",
)
ENVIRONMENT = Cause(
    "environment",
    "the prefix contains a path, host, branch or other fact about the machine that differs",
    "move the environment block after tools and instructions",
)
TENANT = Cause(
    "user or tenant",
    "the name or data of a user or tenant comes before text that is the same for everyone",
    "put the text that is the same for everyone first, then the user's own",
)
RETRIEVED = Cause(
    "retrieved documents",
    "documents retrieved for this call come before text that stays the same",
    "put them after the instructions and the history, in the last user message",
)

# the same content in another form

KEY_ORDER = Cause(
    "key order",
    "the same JSON has its keys in another order",
    "serialise with sorted keys, or forward what was received byte for byte",
)
WHITESPACE = Cause(
    "white space",
    "the same JSON or text has different whitespace",
    "serialise once and keep the bytes",
)
REWRITTEN = Cause(
    "re-serialised",
    "the same JSON is serialised differently (escapes, number format)",
    "serialise once and keep the bytes",
)
RE_RENDERED = Cause(
    "re-rendered",
    "the same message is rendered in another form (surrounding fields, parts, template tokens)",
    "send messages in the form in which they were first sent",
)

# tools

TOOLS_REORDERED = Cause(
    "tools reordered",
    "the same tools are in another order",
    "sort the tools by name",
)
TOOL_ADDED = Cause(
    "tool added",
    "a tool was added",
    "keep one set of tools per session, and restrict it with `tool_choice` or `allowed_tools`",
)
TOOL_REMOVED = Cause(
    "tool removed",
    "a tool was removed",
    "keep one set of tools per session, and restrict it with `tool_choice` or `allowed_tools`",
)
TOOL_EDITED = Cause(
    "tool edited",
    "a tool's definition changed",
    "freeze tool definitions for the session, and put what changes into a message",
)

# instructions and history

SYSTEM_EDITED = Cause(
    "system prompt re-derived",
    "the system prompt was generated again with a different result",
    "generate it once per session, and append new information as a message",
)
HISTORY_EDITED = Cause(
    "history edited",
    "an earlier message was changed",
    "append corrections instead of editing earlier messages",
)
HISTORY_CUT = Cause(
    "history cut",
    "old messages were removed from the middle or the beginning",
    "cut rarely and remove much at once, so that the shorter prefix is reused for long",
)
RESULT_CLEARED = Cause(
    "tool result cleared",
    "an old tool result was removed or replaced by a shorter one",
    "clear results rarely, and many at once",
)
COMPACTION = Cause(
    "compaction",
    "the history was replaced by a summary",
    "keep the same tools and system prompt in front when compacting, so that they stay cached",
    wasteful=False,
)
REWOUND = Cause(
    "rewound",
    "the end of the history was dropped and continued differently",
    "nothing to repair: the remaining history is still cached",
    wasteful=False,
)
FORKED = Cause(
    "forked in another order",
    "another agent received the same content in another order or form",
    "fork with the parent's prompt byte for byte, and append the new instruction",
)
THINKING_STRIPPED = Cause(
    "thinking stripped",
    "reasoning was removed from an earlier response",
    "send responses back unchanged, including reasoning, if the model accepts it",
)
INSERTED = Cause(
    "message inserted",
    "a message was inserted before messages that were already sent",
    "append it at the end",
)
REORDERED = Cause(
    "messages reordered",
    "the same messages, or parts of one message, are in another order",
    "keep the order in which they were first sent",
)
ROLE_CHANGED = Cause(
    "role changed",
    "the same text was sent with another role",
    "keep the role of each message",
)
IMAGE = Cause(
    "image changed",
    "an image in an earlier message was re-encoded, resized, replaced or removed",
    "keep the bytes, the URL and the detail level with which an image was first sent",
)

# settings that are part of a cache's key; a moved breakpoint is not one of them

MODEL = Cause(
    "model changed",
    "the same prompt was sent to another model, and each model has its own cache",
    "use one model for the whole session",
)
THINKING_CHANGED = Cause(
    "thinking changed",
    "the effort, thinking or reasoning setting changed",
    "keep it for the whole session",
)
TOOL_CHOICE = Cause(
    "tool choice changed",
    "the tool choice, or the setting for parallel tool calls, changed",
    "keep it for the whole session, and ask for a tool in a message",
)
SERVICE_TIER = Cause(
    "service tier changed",
    "another speed or service tier was requested",
    "keep it for the whole session",
)
RESPONSE_FORMAT = Cause(
    "response format changed",
    "another output format or schema was requested",
    "keep one schema for the whole session, or ask for it in the last message",
)
BETA_HEADERS = Cause(
    "beta headers changed",
    "another set of beta features was enabled",
    "send the same set with every call of a session",
)
CACHE_KEY = Cause(
    "cache key changed",
    "the key that selects the provider's cache (`prompt_cache_key`, a salt) changed",
    "derive it from something that the calls share: the agent's name or the session",
)

# only hashes are known

HIDDEN_EDITED = Cause(
    "content not known: edited",
    "only hashes of the prompt are known: something was replaced here",
    "capture content to see what changed",
)
HIDDEN_INSERTED = Cause(
    "content not known: inserted",
    "only hashes of the prompt are known: something was inserted here",
    "capture content to see what was inserted",
)
HIDDEN_REMOVED = Cause(
    "content not known: removed",
    "only hashes of the prompt are known: something was removed here",
    "capture content to see what was removed",
)
HIDDEN_REORDERED = Cause(
    "content not known: reordered",
    "only hashes of the prompt are known: the same parts are in another order",
    "keep the order in which they were first sent",
)

# the prompt was the same

LIFETIME = Cause(
    "lifetime",
    "the prefix was the same, but the pause was longer than the cache lifetime",
    "use a longer lifetime, or keep the cache warm",
)
MINIMUM = Cause(
    "below the minimum",
    "the shared prefix is shorter than the provider's minimum",
    "combine stable text into one longer prefix, or accept it",
    wasteful=False,
)
NO_MARKER = Cause(
    "no breakpoint",
    "the prefix was the same, but no breakpoint follows it, and the provider caches only there",
    "set a breakpoint after the tools and system prompt, and one on the last message",
)
LOOKBACK = Cause(
    "lookback exceeded",
    "the cached prefix ends further before the breakpoint than the provider looks back",
    "add a breakpoint about every fifteen blocks, at the latest after parallel tool results",
)
IN_FLIGHT = Cause(
    "in flight",
    "the call that writes the prefix had not started to respond when this call started",
    "start the other calls after the first response has begun, or warm the cache with one call",
)
SETTINGS = Cause(
    "settings changed",
    "a setting that is part of the cache's key changed",
    "keep it for the whole session",
)
SERVED_IN_PART = Cause(
    "served in part",
    "the prompt was the same, and the cache served its beginning only: the call reached another "
    "machine, which has what all sessions share and not this session's history, or the provider "
    "dropped the rest",
    "keep the calls of a session on one machine: one `prompt_cache_key` per session (OpenAI), or "
    "routing by session or prefix before your own engines",
)
OUTSIDE = Cause(
    "not in the trace",
    "the recorded prompt was the same, and nothing was read from the cache: the call reached "
    "another machine, the provider dropped the cache, or a part that is not recorded changed",
    "keep the calls of a session on one machine, as for `served in part`; where the prompts are "
    "recorded without tools and system prompt, record them to see whether those change",
)
PROVIDER_SIDE = (SERVED_IN_PART, OUTSIDE)
"""what nothing in the recorded prompts explains"""

CATALOGUE = tuple(one for one in list(globals().values()) if isinstance(one, Cause))
"""all of them"""
