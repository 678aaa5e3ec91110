"""Reads the fields of a Hugging Face config.json, under the names that different models use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phasewise_store.errors import UsageError


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one model's text part."""

    name: str
    """of the model, for error messages"""
    values: Mapping[str, object]

    def count(self, *names: str) -> int:
        """Return the first of these fields that is there; raises UsageError if none is."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        raise UsageError(f"the config of `{self.name}` has no `{names[0]}`")

    def count_or(self, default: int, *names: str) -> int:
        """Return the first of these fields that is there, or the default."""
        found = self.optional(*names)
        return default if found is None else found

    def optional(self, *names: str) -> int | None:
        """Return the first of these fields that is there, or None."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        return None

    def flag(self, name: str) -> bool:
        """Return a switch; absent is off."""
        return bool(self.values.get(name))

    def text(self, name: str, default: str) -> str:
        """Return a text field, or the default."""
        value = self.values.get(name)
        return value if isinstance(value, str) else default

    def listed(self, name: str) -> Sequence[object] | None:
        """Return a list, or None."""
        value = self.values.get(name)
        return value if isinstance(value, list) else None

    def per_layer(self, name: str, layers: int) -> Sequence[object]:
        """Return a list with an entry per layer; raises UsageError if it has another length."""
        value = self.listed(name)
        if value is None or len(value) != layers:
            raise UsageError(f"`{name}` in the config of `{self.name}` must list {layers} layers")
        return value
