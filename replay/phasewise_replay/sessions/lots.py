"""Draw without a generator: a number for each name, the same in every process."""

from hashlib import blake2b


def lot(seed: int, name: str) -> int:
    """Return a number of 128 bits that looks random."""
    return int.from_bytes(blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest(), "big")
