"""The catalogue of what breaks a prompt's prefix, with the repair of each.

Data; `diagnose.py` and `settings.py` decide which one it is. Sources: Anthropic's and OpenAI's
prompt-caching guides, and public issues of agent tools (2025-2026) in which each was found and
measured.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """One way in which a prefix breaks."""

    name: str
    what: str
    """what happened, in a sentence"""
    fix: str
    """what to do about it"""
    wasteful: bool = True
    """False where the change is the point of the call: a person went back, a compaction pays off"""


# values that stand in the prefix and change

CLOCK = Cause(
    "clock",
    "a date or time stands in the prefix",
    "move it into the last user message, or write the day only",
)
UNIQUE_ID = Cause(
    "unique id",
    "an id, nonce or hash that is new each time stands in the prefix",
    "leave it out, or send it as metadata beside the prompt",
)
COUNTER = Cause(
    "number",
    "a number that changes (a counter, a count, a remaining budget) stands in the prefix",
    "move it behind everything that stays",
)
ENVIRONMENT = Cause(
    "environment",
    "a path, host, branch or other fact about the machine stands in the prefix and differs",
    "move the block about the environment behind tools and instructions",
)
TENANT = Cause(
    "user or tenant",
    "the name or data of one user or tenant stands before text that is the same for all",
    "put the text that is the same for all first, the user's own behind it",
)
RETRIEVED = Cause(
    "retrieved documents",
    "documents that were looked up for this call stand before text that stays",
    "put them behind the instructions and the history, into the last user message",
)

# the same content, written in another way

KEY_ORDER = Cause(
    "key order",
    "the same JSON was written with its keys in another order",
    "serialise with sorted keys, or send on what was received byte for byte",
)
WHITESPACE = Cause(
    "white space",
    "the same JSON or text was written with other white space",
    "serialise once and keep the bytes",
)
REWRITTEN = Cause(
    "re-serialised",
    "the same JSON was written in another way (escapes, number format)",
    "serialise once and keep the bytes",
)
RE_RENDERED = Cause(
    "re-rendered",
    "the same message was put into another form (fields around it, parts, template tokens)",
    "send messages back in the form in which they were first sent",
)

# tools

TOOLS_REORDERED = Cause(
    "tools reordered",
    "the same tools were sent in another order",
    "sort the tools by name",
)
TOOL_ADDED = Cause(
    "tool added",
    "a tool was added",
    "keep one set of tools for the session, and restrict them by `tool_choice` or `allowed_tools`",
)
TOOL_REMOVED = Cause(
    "tool removed",
    "a tool was taken out",
    "keep one set of tools for the session, and restrict them by `tool_choice` or `allowed_tools`",
)
TOOL_EDITED = Cause(
    "tool edited",
    "a tool's definition changed",
    "freeze definitions for the session; what changes belongs into a message",
)

# instructions and history

SYSTEM_EDITED = Cause(
    "system prompt re-derived",
    "the system prompt was made anew and came out different",
    "make it once a session; append what is new as a message",
)
HISTORY_EDITED = Cause(
    "history edited",
    "an earlier message was changed",
    "append corrections instead of editing what was sent",
)
HISTORY_CUT = Cause(
    "history cut",
    "old messages were removed from the middle or the front",
    "cut rarely and much at once, so that the shorter prefix is used for long",
)
RESULT_CLEARED = Cause(
    "tool result cleared",
    "an old tool result was taken out or replaced by a shorter one",
    "clear results rarely and many at once",
)
COMPACTION = Cause(
    "compaction",
    "the history was replaced by a summary",
    "compact with the same tools and system prompt in front, so that these stay cached",
    wasteful=False,
)
REWOUND = Cause(
    "rewound",
    "the end of the history was dropped and another continuation was asked for",
    "nothing to repair: what was kept is still cached",
    wasteful=False,
)
FORKED = Cause(
    "forked in another order",
    "another agent was given the same content in another order or form",
    "fork with the parent's prompt byte for byte, and append the new instruction",
)
THINKING_STRIPPED = Cause(
    "thinking stripped",
    "reasoning was taken out of an earlier answer",
    "send answers back as they came, reasoning included, where the model takes it",
)
INSERTED = Cause(
    "message inserted",
    "a message was put before ones that had been sent",
    "append it at the end",
)
REORDERED = Cause(
    "messages reordered",
    "the same messages, or parts of one, were sent in another order",
    "keep the order in which they were first sent",
)
ROLE_CHANGED = Cause(
    "role changed",
    "the same text was sent under another role",
    "keep each message's role",
)
IMAGE = Cause(
    "image changed",
    "an image of an earlier message was encoded anew, resized, swapped or taken out",
    "keep the bytes, the address and the detail with which an image was first sent",
)

# settings that are part of a cache's key; a marker that moved is none of them

MODEL = Cause(
    "model changed",
    "another model was asked with the same prompt: each has a cache of its own",
    "pin the model for the length of a session",
)
THINKING_CHANGED = Cause(
    "thinking changed",
    "effort, thinking or reasoning was set in another way",
    "keep it for the length of a session",
)
TOOL_CHOICE = Cause(
    "tool choice changed",
    "the choice of tools, or whether they may run in parallel, was set in another way",
    "keep it for the length of a session, and say in a message which tool is wanted",
)
SERVICE_TIER = Cause(
    "service tier changed",
    "another speed or service tier was asked for",
    "keep it for the length of a session",
)
RESPONSE_FORMAT = Cause(
    "response format changed",
    "another format or schema was asked of the answer",
    "keep one schema for the length of a session, or ask for it in the last message",
)
BETA_HEADERS = Cause(
    "beta headers changed",
    "another set of beta features was switched on",
    "send the same set with each call of a session",
)
CACHE_KEY = Cause(
    "cache key changed",
    "the key by which the provider finds the cache (`prompt_cache_key`, a salt) changed",
    "derive it from what the calls share: the agent's name or the session",
)

# only hashes are known

HIDDEN_EDITED = Cause(
    "content not known: edited",
    "only hashes of the prompt are known: something was replaced here",
    "capture content to see what changed",
)
HIDDEN_INSERTED = Cause(
    "content not known: inserted",
    "only hashes of the prompt are known: something was put in here",
    "capture content to see what was put in",
)
HIDDEN_REMOVED = Cause(
    "content not known: removed",
    "only hashes of the prompt are known: something was taken out here",
    "capture content to see what was taken out",
)
HIDDEN_REORDERED = Cause(
    "content not known: reordered",
    "only hashes of the prompt are known: the same parts came in another order",
    "keep the order in which they were first sent",
)

# the prompt was the same

LIFETIME = Cause(
    "lifetime",
    "the prefix was the same, and the pause longer than the cache lives",
    "ask for the longer lifetime, or keep the cache warm",
)
MINIMUM = Cause(
    "below the minimum",
    "the shared prefix is shorter than what the provider caches",
    "merge what stays into one longer prefix, or accept it",
    wasteful=False,
)
NO_MARKER = Cause(
    "no breakpoint",
    "the prefix was the same, and no breakpoint stood behind it: nothing is kept unasked",
    "put a breakpoint behind tools and system prompt, and one on the last message",
)
LOOKBACK = Cause(
    "lookback exceeded",
    "what is kept lies further back from the breakpoint than the provider looks",
    "put another breakpoint every fifteen blocks or so, at the latest behind parallel tool results",
)
IN_FLIGHT = Cause(
    "in flight",
    "the call that writes the prefix had not begun to answer when this one started",
    "let the first call begin to answer before the others start, or warm the cache with one",
)
SETTINGS = Cause(
    "settings changed",
    "a setting that is part of the cache's key changed",
    "keep it for the length of a session",
)
OUTSIDE = Cause(
    "not in the trace",
    "the recorded prompt was the same, and yet nothing was read from the cache: a part that is not "
    "recorded changed, the cache was elsewhere, or the provider dropped it",
    "record tools and system prompt; look at what is made anew at the start of a turn",
)

CATALOGUE = tuple(one for one in list(globals().values()) if isinstance(one, Cause))
"""all of them"""
