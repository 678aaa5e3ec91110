"""Run a plan on this machine or on a cluster, as the command line says; used by two commands."""

import argparse
from collections.abc import Callable
from dataclasses import replace

from phasewise_replay.cluster import cluster_run, ray_cluster
from phasewise_replay.plans.plan import Plan
from phasewise_replay.runs import run as replays
from phasewise_store.errors import UsageError
from phasewise_store.store import Store


def add_arguments(parser: argparse.ArgumentParser, *, resume: str) -> None:
    """Add --resume, whose help is given, --cluster and --shards."""
    parser.add_argument("--resume", action="store_true", help=resume)
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run on a Ray cluster: ray://HOST:10001, HOST:6379, or auto on one of its nodes",
    )
    parser.add_argument(
        "--shards",
        type=int,
        metavar="N",
        help="parts of the sessions that run beside each other on the cluster (default: as many "
        "as it has GPUs for)",
    )


def replay(
    store: Store, plan: Plan, arguments: argparse.Namespace, step: Callable[[int, int, str], None]
) -> str:
    """Run the plan, or go on with it, and return the run's id; raises UsageError."""
    if arguments.cluster is None:
        if arguments.shards is not None:
            raise UsageError("--shards needs --cluster")
        begin = replays.resume if arguments.resume else replays.run
        return begin(store, plan, step=step)
    if arguments.shards is not None:
        if arguments.shards < 1:
            raise UsageError("--shards takes a number from 1 on")
        plan = replace(plan, shards=arguments.shards)
    with ray_cluster.connected(arguments.cluster) as cluster:
        on_cluster = cluster_run.resume if arguments.resume else cluster_run.run
        return on_cluster(store, plan, cluster, step=step)
