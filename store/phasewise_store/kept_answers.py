"""Answers that take long to make, kept with what they were made of: the table `kept_answers`.

A background process makes them, pages show the last one and how far it is behind.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson
import zstandard

from phasewise_store.scope import Scope
from phasewise_store.statements import run
from phasewise_store.store import Store

MOST_KEPT = 500
"""the newest; those of whole data sets are made again when they are missing"""

_FACTS = """
SELECT
    coalesce(sum(calls), 0)::BIGINT,
    concat_ws(
        ' ', sum(calls), sum(analysed_calls), sum(input_tokens), sum(cache_read_tokens),
        sum(output_tokens), sum(prefill_usd), sum(sent_before_tokens),
        sum(missed_tokens), max(first_ordinal), min(first_ordinal),
        (SELECT string_agg(version, ' ' ORDER BY source) FROM analysed_sources)
    )
FROM cells c
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    name: str
    """flame, structure"""
    scope: Scope
    part: str = ""
    """of the flame graph: the address of the frame that is opened"""

    @property
    def key(self) -> str:
        """Return scope and part as one text."""
        fields = {name: value for name, value in asdict(self.scope).items() if value is not None}
        return orjson.dumps(fields | ({"part": self.part} if self.part else {})).decode()


@dataclass(frozen=True, slots=True)
class Facts:
    """What an answer depends on."""

    calls: int
    """in scope"""
    sums: str
    """over them: others mean that an answer is out of date"""


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that is kept, and when and of what it was made."""

    answer: bytes
    facts: Facts
    made_at: datetime
    """UTC"""
    took_s: float


def facts(store: Store, scope: Scope) -> Facts:
    """Return what answers about this scope depend on now."""
    condition, parameters = scope.of_cells()
    return Facts(*store.frame(f"{_FACTS} WHERE {condition}", parameters).row(0))


def get(store: Store, question: Question) -> Kept | None:
    """Return the answer that is kept; None where there is none."""
    return _read(store, question, "answer")


def stamp(store: Store, question: Question) -> Kept | None:
    """Return the same without the answer itself."""
    return _read(store, question, "NULL::BLOB")


def _read(store: Store, question: Question, answer: str) -> Kept | None:
    found = store.frame(
        f"SELECT {answer} AS answer, calls, facts, made_at, took_s FROM kept_answers "
        "WHERE question = $name AND scope = $key ORDER BY made_at DESC LIMIT 1",
        {"name": question.name, "key": question.key},
    )
    for packed, calls, sums, made_at, took_s in found.iter_rows():
        text = b"" if packed is None else zstandard.ZstdDecompressor().decompress(packed)
        return Kept(text, Facts(calls, sums), made_at.replace(tzinfo=UTC), took_s)
    return None


def put(store: Store, question: Question, kept: Kept) -> None:
    """Keep an answer in the place of an older one; the oldest of too many go."""
    with store.transaction() as connection:
        run(
            connection,
            "DELETE FROM kept_answers WHERE question = $name AND scope = $key",
            {"name": question.name, "key": question.key},
        )
        run(
            connection,
            "INSERT INTO kept_answers (question, scope, calls, facts, made_at, took_s, answer) "
            "VALUES ($name, $key, $calls, $sums, $made_at, $took_s, $answer)",
            {
                "name": question.name,
                "key": question.key,
                "calls": kept.facts.calls,
                "sums": kept.facts.sums,
                "made_at": kept.made_at.replace(tzinfo=None),
                "took_s": kept.took_s,
                "answer": zstandard.ZstdCompressor().compress(kept.answer),
            },
        )
        run(
            connection,
            "DELETE FROM kept_answers WHERE made_at < ("
            f"SELECT made_at FROM kept_answers ORDER BY made_at DESC LIMIT 1 OFFSET {MOST_KEPT})",
        )
