"""Changes of a conversation, each with the cause that the analyzer must name.

A change gives the conversation before and after; None where the conversation lends itself not.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.causes import Cause

from tests.analyzer.diagnosis import conversations, texts, values
from tests.analyzer.diagnosis.conversations import Call, Conversation, Turn

Two = tuple[Conversation, Conversation]
Change = Callable[[random.Random, Conversation], Two | None]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One kind of change."""

    cause: Cause
    change: Change
    across: bool = False
    """whether the two are different conversations"""


def _with_line(rng: random.Random, made: Conversation, lines: values.Pair) -> Two:
    """Put a line into the system prompt, the first message, or a tool's description."""
    place = rng.random()
    if place < 0.65:
        return texts.in_system(rng, made, lines)
    if place < 0.85:
        return texts.in_first_message(rng, made, lines)
    return texts.in_tool(rng, made, lines)


def _clock(rng: random.Random, made: Conversation) -> Two:
    one, two = values.clock(rng)
    line = rng.choice(values.CLOCK_LINES)
    return _with_line(rng, made, (line.format(one), line.format(two)))


def _identity(rng: random.Random, made: Conversation) -> Two:
    one, two = values.identity(rng)
    line = rng.choice(values.IDENTITY_LINES)
    return _with_line(rng, made, (line.format(one), line.format(two)))


def _new_call_ids(rng: random.Random, made: Conversation) -> Two | None:
    place = _calling(rng, made)
    if place is None:
        return None
    turn = made.turns[place]
    calls = tuple(replace(one, call_id=conversations.call_id(rng)) for one in turn.calls)
    return made, made.with_turn(place, replace(turn, calls=calls))


def _counter(rng: random.Random, made: Conversation) -> Two:
    one, two = values.counter(rng)
    line = rng.choice(values.COUNTER_LINES)
    return _with_line(rng, made, (line.format(one), line.format(two)))


def _environment(rng: random.Random, made: Conversation) -> Two:
    one, two = values.environment(rng)
    if rng.random() < 0.5:
        head, tail = rng.choice([("<env>\n", "\n</env>"), ("# Environment\n", "\nShell: dash")])
        one, two = head + one + tail, head + two + tail
    lines = (one, two)
    if rng.random() < 0.7:
        return texts.in_system(rng, made, lines)
    return texts.in_first_message(rng, made, lines)


def _tenant(rng: random.Random, made: Conversation) -> Two:
    one, two = texts.in_system(rng, made, values.tenant(rng))
    return one, replace(two, turns=conversations.turns(rng, made.tools, 2))


def _retrieved(rng: random.Random, made: Conversation) -> Two:
    lines = texts.documents(rng)
    kind = rng.random()
    if kind < 0.5:
        return texts.in_system(rng, made, lines)
    if kind < 0.8:
        return texts.in_first_message(rng, made, lines)
    one, two = (
        replace(made, turns=(Turn("user", text), Turn("assistant", "Noted."), *made.turns))
        for text in lines
    )
    return one, two


def _key_order(rng: random.Random, made: Conversation) -> Two | None:
    return texts.rewrite_json(rng, made, texts.in_another_order)


def _key_order_in_system(rng: random.Random, made: Conversation) -> Two:
    document = json.loads(conversations.arguments(rng))
    other = texts.in_another_order(rng, json.dumps(document, ensure_ascii=False))
    form = rng.choice(["Settings: {}", "<config>{}</config>", "{}", "The limits are {} for now."])
    one = json.dumps(document, ensure_ascii=False)
    return texts.in_system(rng, made, (form.replace("{}", one), form.replace("{}", other)))


def _key_order_in_tool(rng: random.Random, made: Conversation) -> Two:
    place = rng.randrange(len(made.tools))
    tool = made.tools[place]
    turned = dict(reversed(list(tool.parameters.items())))
    return made, _with_tool(made, place, replace(tool, parameters=turned))


def _white_space(rng: random.Random, made: Conversation) -> Two | None:
    return texts.rewrite_json(rng, made, texts.with_other_spaces)


def _white_space_in_text(rng: random.Random, made: Conversation) -> Two:
    (text,) = made.system
    other = rng.choice(
        [
            text + "\n",
            text.replace("\n", "\r\n"),
            text.replace("\n\n", "\n", 1),
            text.replace(" ", "  ", 1),
            text.replace(" ", "\u00a0", 1),
            "\n" + text,
            text.replace("- ", "-\t", 1),
        ]
    )
    if rng.random() < 0.7:
        return made, replace(made, system=(other,))
    turn = made.turns[0]
    return made, made.with_turn(0, replace(turn, text=rng.choice([" ", ""]) + turn.text + "\n"))


def _escapes(rng: random.Random, made: Conversation) -> Two | None:
    return texts.rewrite_json(rng, made, texts.with_other_escapes)


def _numbers(rng: random.Random, made: Conversation) -> Two | None:
    for place, tool in enumerate(made.tools):
        written = json.dumps(tool.parameters)
        other = written.replace('"minimum": 0', '"minimum": 0.0')
        if written != other:
            return made, _with_tool(made, place, replace(tool, parameters=json.loads(other)))
    return None


def _tools_reordered(rng: random.Random, made: Conversation) -> Two | None:
    order = list(made.tools)
    kind = rng.choice(["sort", "reverse", "shuffle", "swap"])
    if kind == "sort":
        order.sort(key=lambda tool: tool.name)
    elif kind == "reverse":
        order.reverse()
    elif kind == "shuffle":
        rng.shuffle(order)
    else:
        order[0], order[-1] = order[-1], order[0]
    changed = replace(made, tools=tuple(order))
    return None if changed == made else (made, changed)


def _tool_added(rng: random.Random, made: Conversation) -> Two:
    order = list(made.tools)
    for _ in range(rng.choice([1, 1, 1, 3])):
        new = conversations.tool(rng, frozenset(tool.name for tool in order))
        order.insert(rng.randint(0, len(order)), new)
    return made, replace(made, tools=tuple(order))


def _tool_removed(rng: random.Random, made: Conversation) -> Two:
    gone = rng.sample(range(len(made.tools)), rng.choice([1, 1, 2]))
    kept = tuple(tool for place, tool in enumerate(made.tools) if place not in gone)
    return made, replace(made, tools=kept)


def _tool_edited(rng: random.Random, made: Conversation) -> Two:
    place = rng.randrange(len(made.tools))
    tool = made.tools[place]
    parameters: dict[str, object] = json.loads(json.dumps(tool.parameters))
    properties = parameters["properties"]
    assert isinstance(properties, dict)
    kind = rng.randrange(6)
    if kind == 0:
        tool = replace(tool, description=tool.description + " " + conversations.sentence(rng))
    elif kind == 1:
        tool = replace(tool, description=conversations.prose(rng, 2))
    elif kind == 2:
        properties["verbosity"] = {"type": "string", "enum": ["low", "high"]}
    elif kind == 3:
        properties.pop(next(iter(properties)))
    elif kind == 4:
        parameters["required"] = list(properties)[:1] if tool.parameters["required"] else []
        parameters["additionalProperties"] = False
    else:
        properties["limit"] = {"type": "integer", "maximum": 5}
        first = replace(tool, parameters=json.loads(json.dumps(parameters)))
        properties["limit"]["maximum"] = 50
        second = replace(tool, parameters=parameters)
        return _with_tool(made, place, first), _with_tool(made, place, second)
    return made, _with_tool(made, place, replace(tool, parameters=parameters))


def _system_edited(rng: random.Random, made: Conversation) -> Two:
    (text,) = made.system
    return made, replace(made, system=(texts.edited(rng, text),))


def _system_rewritten(rng: random.Random, made: Conversation) -> Two:
    return made, replace(made, system=(texts.rewritten(rng, made.system[0]),))


def _message_edited(rng: random.Random, made: Conversation) -> Two:
    place = rng.randrange(len(made.turns) - 1)
    turn = made.turns[place]
    kind = rng.random()
    if turn.calls and kind < 0.4:
        calls = list(turn.calls)
        at = rng.randrange(len(calls))
        calls[at] = replace(calls[at], result=_edited_result(rng, calls[at]))
        return made, made.with_turn(place, replace(turn, calls=tuple(calls)))
    text = texts.edited(rng, turn.text) if kind < 0.8 else conversations.prose(rng, 3)
    return made, made.with_turn(place, replace(turn, text=text))


def _edited_result(rng: random.Random, call: Call) -> str:
    if call.result.startswith("{"):
        document = json.loads(call.result)
        rng.choice(document["rows"])["note"] = conversations.sentence(rng)
        return json.dumps(document, ensure_ascii=False)
    return texts.edited(rng, call.result)


def _history_cut(rng: random.Random, made: Conversation) -> Two:
    users = [place for place, turn in enumerate(made.turns) if turn.role == "user"]
    start, end = sorted(rng.sample(users, 2))
    if rng.random() < 0.5:
        start = 0
    notice: tuple[Turn, ...] = ()
    if rng.random() < 0.3 and end - start >= 2:
        notice = (Turn("user", rng.choice(texts.NOTICES)),)
    return made, replace(made, turns=(*made.turns[:start], *notice, *made.turns[end:]))


def _result_cleared(rng: random.Random, made: Conversation) -> Two | None:
    places = [place for place, turn in enumerate(made.turns) if turn.calls]
    if not places:
        return None
    changed = made
    for place in places if rng.random() < 0.5 else [rng.choice(places)]:
        turn = changed.turns[place]
        calls = tuple(replace(one, result=texts.cleared(rng, one.result)) for one in turn.calls)
        changed = changed.with_turn(place, replace(turn, calls=calls))
    return made, changed


def _result_left_out(rng: random.Random, made: Conversation) -> Two | None:
    place = _calling(rng, made)
    if place is None:
        return None
    return made, made.with_turn(place, replace(made.turns[place], cleared=frozenset({0})))


def _compaction(rng: random.Random, made: Conversation) -> Two:
    kept = made.turns[-1:] if rng.random() < 0.4 else ()
    dropped = made.turns[: len(made.turns) - len(kept)]
    head = dropped[:1] if rng.random() < 0.3 else ()
    summary = Turn("user", texts.summary(rng, dropped[len(head) :]))
    changed = replace(made, turns=(*head, summary, *kept))
    return made, changed if kept else changed.say(conversations.answer(rng, made.tools))


def _rewound(rng: random.Random, made: Conversation) -> Two:
    place = rng.randrange(0, len(made.turns))
    changed = replace(made, turns=made.turns[:place])
    if made.turns[place].role == "assistant":
        changed = changed.say(conversations.answer(rng, made.tools, rng.choice([0, 1])))
    return made, changed.say(conversations.question(rng))


def _forked(rng: random.Random, made: Conversation) -> Two:
    task = Turn("user", f"You are now the reviewer. {conversations.prose(rng, 2)}")
    return made, replace(made, turns=(task, *made.turns[1:], made.turns[0]))


def _told(rng: random.Random, made: Conversation) -> Two:
    lines = [f"{turn.role}: {turn.text}" for turn in made.turns]
    told = Turn("user", "Conversation of your parent:\n\n" + "\n\n".join(lines))
    plain = replace(made, turns=tuple(Turn(turn.role, turn.text) for turn in made.turns))
    return plain, replace(plain, turns=(told,))


def _system_as_message(rng: random.Random, made: Conversation) -> Two:
    first = Turn("user", "\n\n".join([*made.system, made.turns[0].text]))
    base = made.with_turn(0, replace(made.turns[0], image=b""))
    return base, replace(base, system=("Do as you are told.",), turns=(first, *made.turns[1:]))


def _thinking_stripped(rng: random.Random, made: Conversation) -> Two | None:
    thinking = [place for place, turn in enumerate(made.turns) if turn.thinking]
    if not thinking:
        return None
    changed = made
    for place in thinking if rng.random() < 0.6 else [rng.choice(thinking)]:
        changed = changed.with_turn(place, replace(changed.turns[place], thinking=""))
    return made, changed


def _think_tags(rng: random.Random, made: Conversation) -> Two:
    place = next(at for at, turn in enumerate(made.turns) if turn.role == "assistant")
    turn = replace(made.turns[place], thinking="")
    tagged = f"<think>\n{conversations.prose(rng, 3)}\n</think>\n\n{turn.text}"
    return made.with_turn(place, replace(turn, text=tagged)), made.with_turn(place, turn)


def _inserted(rng: random.Random, made: Conversation) -> Two:
    place = rng.randrange(len(made.turns))
    new = Turn(rng.choice(["user", "assistant"]), conversations.prose(rng, rng.randint(1, 3)))
    return made, replace(made, turns=(*made.turns[:place], new, *made.turns[place:]))


def _reordered(rng: random.Random, made: Conversation) -> Two:
    order = list(made.turns)
    one, two = rng.sample(range(len(order)), 2)
    if rng.random() < 0.5:
        order[one], order[two] = order[two], order[one]
    else:
        order.insert(two, order.pop(one))
    return made, replace(made, turns=tuple(order))


def _results_reordered(rng: random.Random, made: Conversation) -> Two | None:
    places = [place for place, turn in enumerate(made.turns) if len(turn.calls) > 1]
    if not places:
        return None
    place = rng.choice(places)
    count = len(made.turns[place].calls)
    turned = replace(made.turns[place], results_order=tuple(reversed(range(count))))
    return made, made.with_turn(place, turned)


def _image(rng: random.Random, made: Conversation) -> Two:
    users = [place for place, turn in enumerate(made.turns) if turn.role == "user"]
    place = rng.choice(users)
    turn = replace(made.turns[place], image=conversations.picture(rng))
    other = rng.choice([conversations.picture(rng), turn.image[:-3], b""])
    return made.with_turn(place, turn), made.with_turn(place, replace(turn, image=other))


def _with_tool(made: Conversation, place: int, tool: conversations.Tool) -> Conversation:
    return replace(made, tools=(*made.tools[:place], tool, *made.tools[place + 1 :]))


def _calling(rng: random.Random, made: Conversation) -> int | None:
    places = [place for place, turn in enumerate(made.turns) if turn.calls]
    return rng.choice(places) if places else None


MUTATIONS: Mapping[str, Mutation] = {
    "clock": Mutation(causes.CLOCK, _clock),
    "id": Mutation(causes.UNIQUE_ID, _identity),
    "call ids made anew": Mutation(causes.UNIQUE_ID, _new_call_ids),
    "number": Mutation(causes.COUNTER, _counter),
    "environment": Mutation(causes.ENVIRONMENT, _environment),
    "user or tenant": Mutation(causes.TENANT, _tenant, across=True),
    "retrieved documents": Mutation(causes.RETRIEVED, _retrieved),
    "key order": Mutation(causes.KEY_ORDER, _key_order),
    "key order in system": Mutation(causes.KEY_ORDER, _key_order_in_system),
    "key order in a tool": Mutation(causes.KEY_ORDER, _key_order_in_tool),
    "white space in JSON": Mutation(causes.WHITESPACE, _white_space),
    "white space in text": Mutation(causes.WHITESPACE, _white_space_in_text),
    "escapes": Mutation(causes.REWRITTEN, _escapes),
    "number format": Mutation(causes.REWRITTEN, _numbers),
    "tools reordered": Mutation(causes.TOOLS_REORDERED, _tools_reordered),
    "tool added": Mutation(causes.TOOL_ADDED, _tool_added),
    "tool removed": Mutation(causes.TOOL_REMOVED, _tool_removed),
    "tool edited": Mutation(causes.TOOL_EDITED, _tool_edited),
    "system edited": Mutation(causes.SYSTEM_EDITED, _system_edited),
    "system rewritten": Mutation(causes.SYSTEM_EDITED, _system_rewritten),
    "message edited": Mutation(causes.HISTORY_EDITED, _message_edited),
    "history cut": Mutation(causes.HISTORY_CUT, _history_cut),
    "result cleared": Mutation(causes.RESULT_CLEARED, _result_cleared),
    "result left out": Mutation(causes.RESULT_CLEARED, _result_left_out),
    "compaction": Mutation(causes.COMPACTION, _compaction),
    "rewound": Mutation(causes.REWOUND, _rewound),
    "fork in another order": Mutation(causes.FORKED, _forked, across=True),
    "fork that retells": Mutation(causes.FORKED, _told),
    "fork with system as message": Mutation(causes.FORKED, _system_as_message),
    "thinking stripped": Mutation(causes.THINKING_STRIPPED, _thinking_stripped),
    "think tags stripped": Mutation(causes.THINKING_STRIPPED, _think_tags),
    "message inserted": Mutation(causes.INSERTED, _inserted),
    "messages reordered": Mutation(causes.REORDERED, _reordered),
    "results reordered": Mutation(causes.REORDERED, _results_reordered),
    "image changed": Mutation(causes.IMAGE, _image),
}
