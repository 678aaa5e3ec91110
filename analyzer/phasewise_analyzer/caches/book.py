"""The book of policies: the package's records and the user's own, and which of them holds when.

A call is judged by the record of its own day. Of several that match, the user's own come first,
then the most specific pattern of models.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path

from phasewise_collector.usage.sellers import seller
from phasewise_store.errors import UsageError

from phasewise_analyzer.caches import record
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.record import Record
from phasewise_analyzer.prices import FIRST_DATE_NS

PASSES_ON = frozenset({"openrouter"})
"""sellers that cache nothing themselves; the model's own prefix names who does"""

ENDINGS = ("*.yaml", "*.yml")

NEWEST = date.max - timedelta(days=1)
"""the day of a call without a date: only records that still hold know it"""


@dataclass(frozen=True, slots=True)
class Book:
    """Records in the order in which they are asked."""

    policies: tuple[Policy, ...]
    own: int = 0
    """so many of them, from the front, are the user's own"""
    _found: dict[tuple[str | None, str, date], Policy | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    def policy(
        self, provider: str | None, model: str | None, at_ns: int | None = None
    ) -> Policy | None:
        """Return the record of that day, the newest for a call without a date; None: none holds."""
        if model is None:
            return None
        dated = at_ns is not None and at_ns >= FIRST_DATE_NS
        day = datetime.fromtimestamp(at_ns // 10**9, UTC).date() if dated and at_ns else NEWEST
        key = (provider, model, day)
        if key not in self._found:
            self._found[key] = self._find(*_spelt(provider, model), day)
        return self._found[key]

    def named(self, name: str) -> Policy:
        """Return a record by its id, e.g. for a what-if; raises UsageError."""
        for policy in self.policies:
            if policy.id == name:
                return policy
        known = ", ".join(sorted(policy.id for policy in self.policies))
        raise UsageError(f"no cache policy `{name}`; the policies are {known}")

    def _find(self, provider: str | None, model: str, day: date) -> Policy | None:
        own, ours = self.policies[: self.own], self.policies[self.own :]
        return _best(own, provider, model, day) or _best(ours, provider, model, day)


def read(own: Path | None = None) -> Book:
    """Read the package's records, and in front of them those of a file or folder."""
    if own is None:
        return _book((), _ours())
    if own.is_dir():
        files = sorted(path for ending in ENDINGS for path in own.glob(ending))
        if not files:
            raise UsageError(f"no .yaml files with records in `{own}`")
    else:
        files = [own]
    mine: list[Record] = []
    for path in files:
        try:
            mine += record.parse(path.read_text("utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the records `{path}`: {error}") from None
    return _book(mine, _ours())


def parse(text: str, where: str) -> Book:
    """Read a book from the text of one file alone; `where` names it in errors."""
    return _book(record.parse(text, where), ())


@cache
def _ours() -> tuple[Record, ...]:
    folder = resources.files("phasewise_analyzer.caches").joinpath("records")
    files = [one for one in folder.iterdir() if one.name.endswith(".yaml")]
    # `openai` before `openai-at-azure`: of equals the first is taken
    files.sort(key=lambda one: one.name.removesuffix(".yaml"))
    return tuple(found for one in files for found in record.parse(one.read_text("utf-8"), one.name))


def _book(own: Sequence[Record], ours: Sequence[Record]) -> Book:
    for records in (own, ours):
        _check_ids(records)
        _check_overlaps(records)
    return Book(tuple(one.policy for one in (*own, *ours)), len(own))


def _check_ids(records: Iterable[Record]) -> None:
    names: set[str] = set()
    for one in records:
        if one.policy.id in names:
            raise one.wrong("another record has the same id; ids must be unique")
        names.add(one.policy.id)


def _check_overlaps(records: Iterable[Record]) -> None:
    known: dict[tuple[str, str], list[Policy]] = {}
    for one in records:
        if one.policy.opt_in:
            continue
        for key in (
            (sold_by, model) for sold_by in one.policy.providers for model in one.policy.models
        ):
            for other in known.setdefault(key, []):
                if _overlap(one.policy, other):
                    raise one.wrong(
                        f"its dates overlap with `{other.id}` for {key[0]} `{key[1]}`; end one with"
                        " `effective` on the day on which the other starts"
                    )
            known[key].append(one.policy)


def _overlap(one: Policy, other: Policy) -> bool:
    return _first(one) < _until(other) and _first(other) < _until(one)


def _first(policy: Policy) -> date:
    return policy.effective_from or date.min


def _until(policy: Policy) -> date:
    return policy.effective_until or date.max


def _spelt(provider: str | None, model: str) -> tuple[str | None, str]:
    """Return provider and model as the records spell them: `x_ai` is `x-ai`, prefixes name sellers.

    A prefix such as `moonshotai/` in `groq` + `moonshotai/kimi-k2` belongs to the model's name.
    """
    model = model.lower()
    sold_by = seller(provider)
    if sold_by in PASSES_ON:
        sold_by = None
    written, slash, rest = model.partition("/")
    head = seller(written)
    passed_on = head is None or head in PASSES_ON
    if slash and (passed_on or head == sold_by):
        return _spelt(None if passed_on else sold_by, rest)
    if slash and sold_by is None:
        return head, rest
    return sold_by, model


def _best(policies: Iterable[Policy], provider: str | None, model: str, day: date) -> Policy | None:
    """Return the record of that day with the most specific pattern."""
    best: Policy | None = None
    reached: tuple[int, int, date] | None = None
    for policy in policies:
        if policy.opt_in or (provider is not None and provider not in policy.providers):
            continue
        if not _first(policy) <= day < _until(policy):
            continue
        for pattern in policy.models:
            if provider is None and not pattern.strip("*"):
                continue  # an engine's record holds for all models, but only where it is named
            if fnmatchcase(model, pattern):
                rank = (len(pattern.replace("*", "")), -pattern.count("*"), _first(policy))
                if reached is None or rank > reached:
                    best, reached = policy, rank
    return best
