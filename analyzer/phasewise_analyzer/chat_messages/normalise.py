"""Convert a stored prompt to what an engine's chat endpoint accepts.

Replay sends it; `replayable` lists what it changed. The roles are system, user, assistant and tool;
content is text; calls and results have OpenAI's form. A message that can be sent as recorded is
sent byte for byte.

- System messages before the conversation are merged into one; later ones are sent as user messages,
  because templates accept only the first message as system.
- Consecutive assistant messages are merged. Their reasoning is dropped, as chat templates drop it
  from the history, or kept as text.
- A result follows its call, one message each; a call without a result gets a note as its result, a
  result without its call becomes text. Ids are made unique in the order of the calls.
- Images, documents and recordings become text with about as many tokens; a provider's own tools (a
  web search) become text.
"""

from collections import Counter
from collections.abc import Sequence

from phasewise_store.facts import Segment

from phasewise_analyzer.chat_messages import entries, tool_definitions
from phasewise_analyzer.chat_messages.blocks import Blocks
from phasewise_analyzer.chat_messages.conversation import Conversation
from phasewise_analyzer.chat_messages.entries import Entry
from phasewise_analyzer.chat_messages.facts import Change, ChatPrompt, Thinking


class Normaliser:
    """Makes the prompts of a session; each goes on from the one before where that is possible."""

    def __init__(self, thinking: Thinking = "drop") -> None:
        self._thinking: Thinking = thinking
        self._entries: dict[bytes, Entry] = {}
        self._tools: dict[bytes, tuple[bytes, Counter[Change]]] = {}
        self._made: dict[bytes, bytes] = {}
        self._taken: list[bytes] = []
        self._conversation = Conversation(self._made)

    def prompt(self, segments: Sequence[Segment]) -> ChatPrompt:
        """Return a prompt whose text is known: tools, system and messages; never empty."""
        tools = [self._tool(one) for one in segments if one.kind == "tool"]
        said = [one for one in segments if one.kind != "tool"]
        digests = [one.digest for one in said]
        if digests[: len(self._taken)] != self._taken:
            self._taken, self._conversation = [], Conversation(self._made)
        for segment in said[len(self._taken) :]:
            self._conversation.add(self._entry(segment))
        self._taken = digests
        messages, changes = self._conversation.messages()
        for _, changed in tools:
            changes.update(changed)
        return ChatPrompt(messages, tuple(raw for raw, _ in tools), dict(+changes))

    def _entry(self, segment: Segment) -> Entry:
        if segment.digest not in self._entries:
            self._entries[segment.digest] = entries.read(segment, Blocks(self._thinking))
        return self._entries[segment.digest]

    def _tool(self, segment: Segment) -> tuple[bytes, Counter[Change]]:
        if segment.digest not in self._tools:
            self._tools[segment.digest] = tool_definitions.sendable(segment.content or b"")
        return self._tools[segment.digest]
