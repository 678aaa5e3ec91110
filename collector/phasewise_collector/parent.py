"""End with the process that started this one: its end of our standard input closes with it."""

import os
import signal
import sys
import threading


def stop_with_parent() -> None:
    """Send SIGTERM to this process when standard input closes: the supervisor is gone then."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="stop-with-parent", daemon=True).start()
