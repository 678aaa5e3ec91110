"""Changes of texts: a line put in, words edited, JSON rewritten, results cleared, summaries."""

import json
import random
from collections.abc import Callable
from dataclasses import replace

from tests.analyzer.diagnosis import conversations
from tests.analyzer.diagnosis.conversations import Conversation, Turn
from tests.analyzer.diagnosis.values import Pair

NOTICES = (
    "[12 earlier messages were omitted]",
    "... (conversation truncated) ...",
    "Earlier messages have been removed to save space.",
    "[Ältere Nachrichten wurden entfernt]",
)
STUBS = (
    "[Old tool result content cleared]",
    "[tool output omitted]",
    "<removed>",
    "Output was pruned to save context.",
    "(result no longer available)",
    "...",
    "[Inhalt entfernt]",
    "",
)


def in_system(
    rng: random.Random, made: Conversation, lines: Pair
) -> tuple[Conversation, Conversation]:
    """Put one of two lines into the same place of the system prompt: head, middle or tail."""
    body = made.system[0].split("\n")
    place = rng.choice([0, 0, 1, len(body) // 2, len(body)])
    one, two = (
        replace(made, system=("\n".join([*body[:place], line, *body[place:]]),)) for line in lines
    )
    return one, two


def in_first_message(
    rng: random.Random, made: Conversation, lines: Pair
) -> tuple[Conversation, Conversation]:
    """Put one of two lines before the first question."""
    first = made.turns[0]
    form = rng.choice(["{}\n\n{}", "<context>\n{}\n</context>\n{}", "---\n{}\n---\n\n{}"])
    one, two = (
        made.with_turn(0, replace(first, text=form.format(line, first.text))) for line in lines
    )
    return one, two


def in_tool(
    rng: random.Random, made: Conversation, lines: Pair
) -> tuple[Conversation, Conversation]:
    """Put one of two lines into a tool's description."""
    place = rng.randrange(len(made.tools))
    tool = made.tools[place]
    changed = (
        replace(tool, description=f"{tool.description}\n{line}\nReturns JSON.") for line in lines
    )
    one, two = (
        replace(made, tools=(*made.tools[:place], new, *made.tools[place + 1 :])) for new in changed
    )
    return one, two


def edited(rng: random.Random, text: str) -> str:
    """Change some words of a text: one word, one sentence more, one less."""
    sentences = text.split(". ")
    kind = rng.randrange(3)
    if kind == 0 and len(sentences) > 2:
        sentences.pop(rng.randrange(1, len(sentences) - 1))
        return ". ".join(sentences)
    if kind == 1:
        sentences.insert(rng.randint(1, len(sentences)), conversations.sentence(rng)[:-1])
        return ". ".join(sentences)
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if word.isalpha() and len(word) > 3]
    words[rng.choice(places)] = rng.choice(["lantern", "whenever", "quietly"])
    return " ".join(words)


def rewritten(rng: random.Random, text: str) -> str:
    """Write a good part of a system prompt anew, as a loader of skills or memories does."""
    lines = text.split("\n")
    start = rng.randrange(1, max(2, len(lines) // 2))
    end = rng.randrange(start + 1, len(lines))
    kind = rng.randrange(3)
    new = [
        f"- skill {conversations.sentence(rng, 3)} {conversations.sentence(rng)}" for _ in "1234"
    ]
    if kind == 0:
        return "\n".join([*lines[:start], *new, *lines[end:]])
    if kind == 1:
        return "\n".join([*lines[:start], *new, *lines[start:]])
    return conversations.system_text(rng)


def documents(rng: random.Random) -> Pair:
    """Make two sets of looked-up documents in one form."""
    form = rng.randrange(6)
    return _documents(rng, form), _documents(rng, form)


def _documents(rng: random.Random, form: int) -> str:
    passages = [conversations.prose(rng, rng.randint(3, 7)) for _ in range(rng.randint(2, 4))]
    names = [f"{rng.choice(conversations.WORDS)}.md" for _ in passages]
    scores = sorted((rng.random() for _ in passages), reverse=True)
    made = list(zip(names, passages, scores, strict=True))
    if form == 0:
        inner = "".join(f"<document>\n{text}\n</document>\n" for _, text, _ in made)
        return f"<documents>\n{inner}</documents>"
    if form == 1:
        return "Retrieved passages:\n" + "\n".join(
            f"[{number}] {text}" for number, (_, text, _) in enumerate(made, 1)
        )
    if form == 2:
        return "## Context\n" + "\n\n".join(f"Source: {name}\n{text}" for name, text, _ in made)
    if form == 3:
        return "\n".join(f"({name}, score: {score:.3f}) {text}" for name, text, score in made)
    if form == 4:
        rows = [
            {"source": name, "score": round(score, 4), "text": text} for name, text, score in made
        ]
        return "Search results: " + json.dumps(rows)
    return "Kontext aus der Wissensdatenbank:\n" + "\n---\n".join(text for _, text, _ in made)


def rewrite_json(
    rng: random.Random, made: Conversation, write: Callable[[random.Random, str], str]
) -> tuple[Conversation, Conversation] | None:
    """Write the JSON of one tool result otherwise."""
    places = [
        (place, at)
        for place, turn in enumerate(made.turns)
        for at, call in enumerate(turn.calls)
        if call.result.startswith("{")
    ]
    if not places:
        return None
    place, at = rng.choice(places)
    turn = made.turns[place]
    calls = list(turn.calls)
    calls[at] = replace(calls[at], result=write(rng, calls[at].result))
    return made, made.with_turn(place, replace(turn, calls=tuple(calls)))


def in_another_order(rng: random.Random, text: str) -> str:
    """Write JSON with its keys turned round, in the same or in another style."""
    turned = _turned(json.loads(text))
    if rng.random() < 0.5:
        return json.dumps(turned, ensure_ascii=False)
    return json.dumps(turned, indent=1)


def with_other_spaces(rng: random.Random, text: str) -> str:
    """Write JSON compact or indented."""
    if rng.random() < 0.5:
        return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def with_other_escapes(rng: random.Random, text: str) -> str:
    """Write JSON with escapes."""
    if rng.random() < 0.5:
        return json.dumps(json.loads(text))
    return json.dumps(json.loads(text), separators=(",", ":"))


def _turned(value: object) -> object:
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(one) for one in value] if isinstance(value, list) else value


def cleared(rng: random.Random, text: str) -> str:
    """Replace a tool result by a stub, or by its head."""
    if rng.random() < 0.7:
        return rng.choice(STUBS)
    return text[: len(text) // 3] + rng.choice(["", "…", "\n[truncated]", " ... (cut)"])


def summary(rng: random.Random, dropped: tuple[Turn, ...]) -> str:
    """Tell in short what was said, with words of it."""
    words = [word for turn in dropped for word in turn.text.split() if len(word) > 4]
    told = " ".join(rng.choices(words, k=60))
    form = rng.choice(
        [
            "This session is being continued from a previous conversation. Summary:\n{}",
            "<summary>\n{}\n</summary>\nContinue with the task.",
            "Zusammenfassung des bisherigen Verlaufs: {}",
            "Summary of what was done so far: {}",
            "Resumen de la conversación anterior: {}",
            "Here is a recap of the work: {}",
            "Goal and state of affairs. {} Next: go on with the open item.",
            "以下は会話の要約です。{}",
        ]
    )
    return form.format(told)
