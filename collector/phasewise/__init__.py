"""The Phasewise tracer: `import phasewise; phasewise.init()` and the program's agents are seen.

It depends on opentelemetry and OpenInference's core, never raises into the program, and sends to
the address it was told, by default `phasewise up` on this machine.
"""

from phasewise.marks import agent, outcome, session, tool
from phasewise.setup import flush, init

__all__ = ["agent", "flush", "init", "outcome", "session", "tool"]
