"""An engine's flags as the user gives them: `max-num-seqs=128`, with or without dashes in front."""

import math
from collections.abc import Mapping

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.not_modelled import NotModelledError

ON = frozenset({"", "1", "true", "yes", "on"})
OFF = frozenset({"0", "false", "no", "off"})


class Flags:
    """The values of flags, and which of them were understood."""

    def __init__(self, values: Mapping[str, str], aliases: Mapping[str, str] = {}) -> None:
        """Take flags; an alias stands for the name it maps to."""
        plain = {_plain(name): value for name, value in values.items()}
        self._values = {aliases.get(name, name): value for name, value in plain.items()}
        self._known: set[str] = set()

    def text(self, name: str, default: str) -> str:
        """Return the value of a flag, or the default."""
        self._known.add(name)
        return self._values.get(name, default)

    def integer(self, name: str, default: int) -> int:
        """Return a positive whole number, or the default."""
        found = self.optional_integer(name)
        return default if found is None else found

    def optional_integer(self, name: str) -> int | None:
        """Return a positive whole number, or None."""
        self._known.add(name)
        value = self._values.get(name)
        if value is None:
            return None
        if not value.isdigit() or not int(value):
            raise UsageError(f"`{name}={value}`: a positive whole number is needed")
        return int(value)

    def limit(self, name: str, default: int | None) -> int | None:
        """Return a positive whole number, or the default; None is no limit, written -1."""
        if self._values.get(name) == "-1":
            self._known.add(name)
            return None
        found = self.optional_integer(name)
        return default if found is None else found

    def factor(self, name: str, default: float) -> float:
        """Return a positive number, or the default."""
        found = self._float(name, default)
        if not 0 < found < math.inf:
            raise UsageError(f"`{name}={self._values[name]}`: a positive number is needed")
        return found

    def optional_amount(self, name: str) -> float | None:
        """Return a number above 0, or None."""
        self._known.add(name)
        value = self._values.get(name)
        if value is None:
            return None
        try:
            found = float(value)
        except ValueError:
            found = 0.0
        if not 0 < found < float("inf"):
            raise UsageError(f"`{name}={value}`: a number above 0 is needed")
        return found

    def number(self, name: str, default: float) -> float:
        """Return a share between 0 and 1, or the default."""
        found = self._float(name, default)
        if not 0 < found <= 1:
            value = self._values[name]
            raise UsageError(f"`{name}={value}`: a number above 0 and up to 1 is needed")
        return found

    def _float(self, name: str, default: float) -> float:
        """Return a number, or the default; not a number is 0."""
        self._known.add(name)
        try:
            return float(self._values.get(name, default))
        except ValueError:
            return 0.0

    def switch(self, name: str, default: bool) -> bool:
        """Return a switch, which `no-NAME` turns off."""
        self._known |= {name, f"no-{name}"}
        if f"no-{name}" in self._values:
            return False
        value = self._values.get(name)
        if value is None:
            return default
        if value.lower() not in ON | OFF:
            raise UsageError(f"`{name}={value}`: true or false is needed")
        return value.lower() in ON

    def refuse_unknown(self) -> None:
        """Raise NotModelledError for a flag that nobody asked for."""
        unknown = sorted(set(self._values) - self._known)
        if unknown:
            known = ", ".join(sorted(one for one in self._known if not one.startswith("no-")))
            raise NotModelledError(
                f"the simulation does not model `{unknown[0]}`; it models: {known}"
            )


def _plain(name: str) -> str:
    return name.lstrip("-").replace("_", "-")
