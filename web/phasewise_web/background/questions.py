"""The questions whose answers take long to make: how each is made, written down and read again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from phasewise_analyzer.flame import graph, kept_tree, tree_json
from phasewise_analyzer.structure.facts import Block, Structure
from phasewise_analyzer.structure.lay_out import lay_out
from phasewise_store import kept_answers
from phasewise_store.errors import UsageError
from phasewise_store.kept_answers import Kept, Question
from phasewise_store.scope import Scope
from phasewise_store.store import Store

FLAME, STRUCTURE = "flame", "structure"


def make(store: Store, question: Question) -> Kept:
    """Make an answer of what the store holds now."""
    began_s = time.monotonic()
    with store.snapshot():
        facts = kept_answers.facts(store, question.scope)
        answer = _MAKERS[question.name](store, question)
    return Kept(answer, facts, datetime.now(UTC), time.monotonic() - began_s)


def written(question: Question) -> str:
    """Write a question as one line."""
    return orjson.dumps(asdict(question)).decode()


def read(line: str) -> Question:
    """Read a question that `written` wrote."""
    fields = orjson.loads(line)
    return Question(**fields | {"scope": Scope(**fields["scope"])})


def read_structure(answer: bytes) -> Structure | None:
    """Read an answer about structure; None where no call has a known prompt."""
    fields = orjson.loads(answer)
    if fields is None:
        return None
    blocks = tuple(Block(**_with_money(one)) for one in fields["blocks"])
    return Structure(**_with_money(fields) | {"blocks": blocks})


def _flame(store: Store, question: Question) -> bytes:
    forest = graph.read(store, question.scope)
    return tree_json.written(kept_tree.make(store, forest, question.part))


def _structure(store: Store, question: Question) -> bytes:
    try:
        found = lay_out(store, question.scope)
    except UsageError:
        return orjson.dumps(None)
    return orjson.dumps(asdict(found), default=str)


def _with_money(fields: dict[str, Any]) -> dict[str, Any]:
    money = {name: fields[name] for name in ("usd_here", "usd_there")}
    return fields | {name: None if one is None else Decimal(one) for name, one in money.items()}


_MAKERS: Mapping[str, Callable[[Store, Question], bytes]] = {FLAME: _flame, STRUCTURE: _structure}
