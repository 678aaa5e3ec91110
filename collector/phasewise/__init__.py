"""The Phasewise tracer: `import phasewise; phasewise.init()` traces the program's agents.

It depends only on OpenTelemetry, never raises into the program, and sends spans to the configured
address, by default `phasewise up` on this machine. Modules are imported on first use, so features
that are not enabled cost nothing.
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
