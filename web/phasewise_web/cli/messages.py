"""Messages to the user at the terminal; needs only the standard library."""

import sys


def say(text: str) -> None:
    """Print a message on stderr; results go to stdout."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
