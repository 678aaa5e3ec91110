"""The Phasewise tracer: `import phasewise; phasewise.init()` and the program's agents are seen.

It depends on OpenTelemetry alone, never raises into the program, and sends to the address it was
told, by default `phasewise up` on this machine. Each name is imported when it is first used: what a
program imports and does not switch on costs it nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phasewise.marks import agent, outcome, session, tool
    from phasewise.setup import flush, init

__all__ = ["agent", "flush", "init", "outcome", "session", "tool"]
_MODULES = {"flush": "phasewise.setup", "init": "phasewise.setup"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module `phasewise` has no attribute `{name}`")
    found: object = getattr(importlib.import_module(_MODULES.get(name, "phasewise.marks")), name)
    globals()[name] = found
    return found
