"""Read what a page is about from its address, and write addresses that keep it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from phasewise_store.errors import UsageError
from phasewise_store.scope import Scope
from phasewise_store.store import Store

LABELS = ("user", "customer", "version", "tag")
"""filters by what people say of their calls"""
SCOPE = ("source", "session", "agent", "model", *LABELS)
"""query parameters that choose a part of the store; each page's links keep them"""
ESCAPED_ENDS = (".json", ".html", "~", "\n")
"""an id with such an end would be read as another page's address"""


@dataclass(frozen=True, slots=True)
class Place:
    """A page's address: path and query; every state of a page is one."""

    path: str
    """as it stands in a link: percent-encoded"""
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

    @property
    def offset(self) -> int:
        """How many rows stand before the page's first one."""
        return int(self.query.get("offset", "0"))

    @property
    def narrowed(self) -> Mapping[str, str]:
        """What chooses a part of the data set, by the name of the parameter."""
        return {name: self.query[name] for name in SCOPE if name in self.query and name != "source"}

    def with_(self, **changes: str | int | None) -> str:
        """Return the address with some of the query changed; None takes a key away."""
        merged = {name: value for name, value in self.query.items() if name not in changes}
        merged |= {name: str(value) for name, value in changes.items() if value is not None}
        return self.path + (f"?{urlencode(merged)}" if merged else "")

    def to(self, path: str, **changes: str | int | None) -> str:
        """Return the address of another page about the same scope."""
        kept = {name: self.query[name] for name in SCOPE if name in self.query}
        return Place(path, kept).with_(**changes)

    @property
    def twin(self) -> str:
        """The address of the page's JSON."""
        path = "/agents" if self.path == "/" else self.path
        return Place(f"{path}.json", self.query).with_()


def session_path(session_id: str) -> str:
    """Return the path of a session's page."""
    return f"/sessions/{encoded(session_id)}"


def call_path(call_id: str) -> str:
    """Return the path of a call's page."""
    return f"/calls/{encoded(call_id)}"


def run_path(run_id: str) -> str:
    """Return the path of a run's page."""
    return f"/runs/{encoded(run_id)}"


def nights_path(name: str) -> str:
    """Return the path of the page of a name's nights."""
    return f"/nights/{encoded(name)}"


def encoded(id: str) -> str:
    """Write any id as the rest of a path: `decoded` reads it back from the decoded path.

    Slashes are encoded, so that browsers see no `..` to resolve. What percent signs cannot keep
    apart gets a `~` behind it: no id, one of dots alone, and one that ends like a page's address.
    """
    is_escaped = not id.strip(".") or id.endswith(ESCAPED_ENDS)
    return quote(id + "~" * is_escaped, safe="")


def decoded(path: str) -> str:
    """Read the id from the rest of a path, percent signs already decoded."""
    return path.removesuffix("~")


def sources(store: Store) -> tuple[str, ...]:
    """Return the names of the data sets, for choosing one."""
    return tuple(store.frame("SELECT DISTINCT name FROM sources ORDER BY name")["name"])


_NEWEST = """
SELECT c.source
FROM cells c
WHERE {condition}
ORDER BY c.last_ordinal DESC NULLS LAST
LIMIT 1
"""


def source_of(store: Store, place: Place) -> str | None:
    """Return the data set named in the address, or the one that the newest call in scope came to.

    None where there is no call.
    """
    if "source" in place.query:
        return place.query["source"]
    condition, parameters = place.scope.of_cells()
    found = store.frame(_NEWEST.format(condition=condition), parameters)
    return str(found.item()) if found.height else None


_IS_THERE: Mapping[str, tuple[str, str]] = {
    "source": ("data set", "SELECT 1 FROM sources WHERE name = $value LIMIT 1"),
    "session": ("session", "SELECT 1 FROM sessions WHERE session_id = $value"),
    "agent": ("agent", "SELECT 1 FROM agents WHERE name = $value LIMIT 1"),
    "model": ("model", "SELECT 1 FROM cells WHERE model = $value LIMIT 1"),
    "user": ("user", "SELECT 1 FROM cells WHERE user_id = $value LIMIT 1"),
    "customer": ("customer", "SELECT 1 FROM cells WHERE customer = $value LIMIT 1"),
    "version": ("version", "SELECT 1 FROM cells WHERE version = $value LIMIT 1"),
    "tag": ("tag", "SELECT 1 FROM cells WHERE list_contains(tags, $value) LIMIT 1"),
}
NAMELESS_AGENT = "unknown"
"""what calls are listed under whose agent nobody named"""


def check_scope(store: Store, place: Place) -> None:
    """Raise UsageError where the address names something that the store does not have."""
    for name in SCOPE:
        value = place.query.get(name)
        if value is None or (name, value) == ("agent", NAMELESS_AGENT):
            continue
        what, query = _IS_THERE[name]
        if not store.frame(query, {"value": value}).height:
            there = (
                f"; its data sets are {', '.join(sources(store)) or 'none'}"
                if name == "source"
                else ""
            )
            raise UsageError(f"There is no {what} `{value}` in this database{there}.")
