"""Connecting to a head that fails to start its side of a connection."""

import pytest
from phasewise_replay.cluster.ray_cluster import CONNECTS, connect


class Ray:
    """Stands in for the module; the first connections fail as Ray's do."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls: list[str] = []

    def init(self, address: str, **_options: object) -> None:
        """Connect, or fail."""
        self.calls.append(f"init {address}")
        if self.calls.count(f"init {address}") <= self.failures:
            raise ConnectionAbortedError(
                "Initialization failure from server:\nTraceback (most recent call last):\n"
                "RuntimeError: Starting Ray client server failed."
            )

    def shutdown(self) -> None:
        """Forget the connection."""
        self.calls.append("shutdown")


def test_a_connection_is_tried_again_from_the_start() -> None:
    """What the last one left is cleaned up before."""
    ray = Ray(failures=CONNECTS - 1)
    connect(ray, "ray://head:1")
    assert ray.calls == ["init ray://head:1", "shutdown"] * (CONNECTS - 1) + ["init ray://head:1"]


def test_a_head_that_always_fails_is_given_up() -> None:
    """The reason is Ray's own."""
    ray = Ray(failures=CONNECTS)
    with pytest.raises(ConnectionAbortedError, match="Starting Ray client server failed"):
        connect(ray, "ray://head:1")
    assert ray.calls.count("init ray://head:1") == CONNECTS
