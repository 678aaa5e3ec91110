"""The protocol between a process and its supervisor, over standard input and output.

The process writes `ready` once it serves, and exits when its standard input closes, which means
that the supervisor is gone. A standby waits for one byte before it starts.
"""

import os
import signal
import sys
import threading

READY = b"ready"
"""the line that says that requests are answered now"""
GO = b"g"
"""what a standby reads before it begins"""
CANNOT_START = 1
"""exit code before `ready`: another start would end in the same way"""
LATER = 3
"""exit code: worth another start, as after a full disk"""


def say_ready() -> None:
    """Tell the supervisor that requests are answered now."""
    os.write(sys.stdout.fileno(), READY + b"\n")


def stop_with_parent() -> None:
    """Send SIGTERM to this process when standard input closes: the supervisor is gone then."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="stop-with-parent", daemon=True).start()
