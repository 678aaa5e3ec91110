"""A Ray cluster: one placement group per shard, one task per visit, done again if a node is lost.

Needs the `ray` extra here, and the same Phasewise with it on every node.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from phasewise_store.errors import EngineError, MissingExtraError, PhasewiseError, UsageError

from phasewise_replay.cluster.cluster import Ahead, Lost, WorkOf
from phasewise_replay.cluster.shards import Shard, Visit
from phasewise_replay.cluster.tally import Handle, Tally
from phasewise_replay.cluster.visiting import Tell, Visited, Work, do
from phasewise_replay.sessions.recorded import Recorded

RETRIES = 3
"""of a visit whose node or process is lost"""
POLL_S = 1.0
STOP_S = 30.0
"""for engines to stop after Ctrl-C"""
TELL_EVERY = 10
"""calls"""
CONNECT_S = 5.0
CONNECTS = 3


@contextmanager
def connected(address: str) -> Iterator["RayCluster"]:
    """Connect to a cluster: `ray://HOST:10001`, `HOST:6379`, or `auto` on one of its nodes.

    Raises MissingExtraError without Ray, UsageError where no cluster answers.
    """
    try:
        import ray  # noqa: PLC0415  # an extra
    except ImportError:
        raise MissingExtraError(
            "--cluster needs Ray.  Install it with  pip install 'phasewise[ray]'  here and on "
            "every node"
        ) from None
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdigit():
            # Ray itself tries for half a minute
            socket.create_connection((host, int(port)), CONNECT_S).close()
        connect(ray, address)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"no Ray cluster answers at `{address}`: {_reason(error)}.  Start one with  ray "
            "start --head --ray-client-server-port 10001"
        ) from None
    try:
        yield RayCluster(ray)
    finally:
        ray.shutdown()


def connect(ray: Handle, address: str) -> None:
    """Connect; a head that answers sometimes fails to start its side of a connection (Ray 2.60).

    Its proxy takes the process that it has just forked for one that ended (`SpecificServer startup
    failed`). Raises ConnectionAbortedError where it goes on failing.
    """
    for left in reversed(range(CONNECTS)):
        try:
            ray.init(address, log_to_driver=False, configure_logging=False)
        except ConnectionAbortedError:
            ray.shutdown()
            if not left:
                raise
        else:
            return


@dataclass(slots=True)
class _Shard:
    """A shard on its GPUs."""

    shard: Shard
    group: Handle
    recorded: Handle
    """a reference to its sessions"""
    next: int = 0
    """the visit that begins next"""


class RayCluster:
    """A cluster that is connected; `ray` is the module."""

    def __init__(self, ray: Handle) -> None:
        self._ray = ray

    def room(self, gpus: int) -> int:
        """Return how many engines with so many GPUs each, on one node, run at once."""
        name, each = ("GPU", gpus) if gpus else ("CPU", 1)
        return int(sum(int(node.get(name, 0)) // each for node in self._nodes()))

    def largest(self) -> int:
        """Return the most GPUs that one node has."""
        return max((int(node.get("GPU", 0)) for node in self._nodes()), default=0)

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def serve(
        self, shards: Sequence[Shard], gpus: int, work_of: WorkOf
    ) -> Iterator[Visited | Lost | Ahead]:
        """Do the visits of every shard in order, on the same GPUs of a node."""
        from ray.util import placement_group, remove_placement_group  # noqa: PLC0415

        ray = self._ray
        bundle = {"CPU": 1.0, "GPU": float(gpus)} if gpus else {"CPU": 1.0}
        tally = Tally(ray)
        running: dict[Handle, tuple[_Shard, Visit]] = {}
        groups: list[Handle] = []

        def begin(one: _Shard) -> None:
            """Begin the shard's next visit, or give its GPUs back."""
            while one.next < len(one.shard.visits):
                visit = one.shard.visits[one.next]
                one.next += 1
                work = work_of(visit)
                if work is not None:
                    running[self._task(one, work, gpus, tally)] = one, visit
                    return
            remove_placement_group(one.group)

        try:
            for shard in shards:
                groups.append(placement_group([bundle]))
                begin(_Shard(shard, groups[-1], ray.put(shard.recorded)))
            while running:
                ready, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
                for reference in ready:
                    one, visit = running.pop(reference)
                    yield self._result(reference, visit)
                    tally.drop(visit.key)
                    begin(one)
                calls, told = tally.read()
                yield Ahead(calls, min(told, len(running)), max(0, len(running) - told))
        finally:
            self._end(list(running))
            for group in groups:
                remove_placement_group(group)

    def _task(self, one: _Shard, work: Work, gpus: int, tally: Tally) -> Handle:
        from ray.util.scheduling_strategies import (  # noqa: PLC0415
            PlacementGroupSchedulingStrategy,
        )

        task = self._ray.remote(
            num_cpus=1,
            num_gpus=gpus,
            max_retries=RETRIES,
            scheduling_strategy=PlacementGroupSchedulingStrategy(one.group, 0),
            name=work.visit.key,
        )(_on_node)
        return task.remote(work, one.recorded, tally.actor)

    def _result(self, reference: Handle, visit: Visit) -> Visited | Lost:
        from ray import exceptions  # noqa: PLC0415

        try:
            found: Visited = self._ray.get(reference)
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, PhasewiseError):
                raise cause from None
            if isinstance(cause, ModuleNotFoundError):
                raise UsageError(
                    f"a node of the cluster cannot import `{cause.name}`: install the same "
                    "Phasewise, with its `ray` extra, on every node"
                ) from None
            raise EngineError(f"a node failed: {_first_line(error)}") from error
        except exceptions.RayError as error:
            return Lost(visit, f"lost {RETRIES + 1} times: {_first_line(error)}")
        return found

    def _end(self, left: Sequence[Handle]) -> None:
        """Stop what still runs: engines are stopped by the tasks that started them."""
        for reference in left:
            with suppress(Exception):
                self._ray.cancel(reference)
        if left:
            with suppress(Exception):
                self._ray.wait(list(left), num_returns=len(left), timeout=STOP_S)


def _on_node(work: Work, recorded: Recorded, counter: Handle) -> Visited:
    """Do a visit on a node, and tell how far it is."""
    key = work.visit.key
    counter.note.remote(key, 0)

    def tell(calls: int) -> None:
        if calls % TELL_EVERY == 0:
            counter.note.remote(key, calls)

    told: Tell = tell
    return do(work, recorded, told)


def _reason(error: BaseException) -> str:
    """Return what an error says; of a traceback from the cluster, its last line."""
    text = str(error).strip()
    return text.splitlines()[-1].strip() if "Traceback" in text else _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
