"""What commands say to the person at the terminal; needs nothing but Python."""

import sys


def say(text: str) -> None:
    """Say something on stderr, where results never go."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
