"""Import hooks: instrument a library when the program imports it, and not before."""

import importlib.util
import logging
from collections.abc import Callable
from types import ModuleType

import wrapt

_log = logging.getLogger("phasewise")


def when_imported(name: str, hook: Callable[[ModuleType], None]) -> None:
    """Run the hook once the module is imported: now, if it is; whatever fails is logged."""

    def guarded(module: ModuleType) -> None:
        try:
            hook(module)
        except Exception:  # a tracer must never stop the program it watches
            _log.exception("could not instrument %s", name)

    wrapt.register_post_import_hook(guarded, name)


def installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # a package above it is missing, or is half imported
        return False
