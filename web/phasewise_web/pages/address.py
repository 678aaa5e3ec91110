"""Read what a page is about from its address, and write addresses that keep it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from phasewise_store.scope import Scope
from phasewise_store.store import Store

LABELS = ("user", "customer", "version", "tag")
"""filters by what people say of their calls"""


@dataclass(frozen=True, slots=True)
class Place:
    """A page's address: path and query; every state of a page is one."""

    path: str
    query: Mapping[str, str]

    @property
    def scope(self) -> Scope:
        """What part of the store the page is about."""
        return Scope(
            source=self.query.get("source"),
            session_id=self.query.get("session"),
            agent=self.query.get("agent"),
            model=self.query.get("model"),
            user=self.query.get("user"),
            customer=self.query.get("customer"),
            version=self.query.get("version"),
            tag=self.query.get("tag"),
        )

    def with_(self, **changes: str | int | None) -> str:
        """Give the address with some of the query changed; None takes a key away."""
        merged = {name: value for name, value in self.query.items() if name not in changes}
        merged |= {name: str(value) for name, value in changes.items() if value is not None}
        return self.path + (f"?{urlencode(merged)}" if merged else "")

    def to(self, path: str, **changes: str | int | None) -> str:
        """Give the address of another page about the same scope."""
        kept = {
            name: value
            for name, value in self.query.items()
            if name in ("source", "agent", "model", *LABELS)
        }
        return Place(path, kept).with_(**changes)

    @property
    def twin(self) -> str:
        """The address of the page's JSON."""
        path = "/agents" if self.path == "/" else self.path
        return Place(f"{path}.json", self.query).with_()


def sources(store: Store) -> tuple[str, ...]:
    """Give the names of the data sets, for choosing one."""
    return tuple(store.frame("SELECT DISTINCT name FROM sources ORDER BY name")["name"])


def source_of(place: Place, there: tuple[str, ...]) -> str | None:
    """Give the data set named in the address, or the first one; None where there is none."""
    return place.query.get("source") or (there[0] if there else None)
