"""The error of what an engine may know and the simulation does not model."""

from phasewise_store.errors import UsageError


class NotModelledError(UsageError):
    """A flag or a value that an engine may know and the simulation does not model."""
