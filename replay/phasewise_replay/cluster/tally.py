"""How many calls of the visits that run are measured: an actor on the Ray cluster counts them."""

from typing import Any

Handle = Any
"""Ray's module, or one of its references: it is imported where it is used"""


class Counter:
    """Knows how many calls of each visit are measured."""

    def __init__(self) -> None:
        self._calls: dict[str, int] = {}

    def note(self, key: str, calls: int) -> None:
        """Set a visit's calls; a visit that is done again begins at zero again."""
        self._calls[key] = calls

    def drop(self, key: str) -> None:
        """Forget a visit that is finished."""
        self._calls.pop(key, None)

    def read(self) -> tuple[int, int]:
        """Return the calls of visits that run, and how many of these there are."""
        return sum(self._calls.values()), len(self._calls)


class Tally:
    """Asks the counter, and never waits for it.

    Its node may be lost, too: it begins anew on another one, and visits tell it again.
    """

    def __init__(self, ray: Handle) -> None:
        self._ray = ray
        self.actor: Handle = ray.remote(num_cpus=0, max_restarts=-1)(Counter).remote()
        self._asked: Handle = None
        self._last = 0, 0

    def drop(self, key: str) -> None:
        """Forget a visit that is finished."""
        self.actor.drop.remote(key)

    def read(self) -> tuple[int, int]:
        """Return the calls of visits that run and how many of these there are, as last heard."""
        from ray.exceptions import RayError  # noqa: PLC0415

        self._asked = self._asked or self.actor.read.remote()
        if self._ray.wait([self._asked], timeout=0)[0]:
            try:
                self._last = self._ray.get(self._asked)
            except RayError:
                self._last = 0, 0
            self._asked = None
        return self._last
