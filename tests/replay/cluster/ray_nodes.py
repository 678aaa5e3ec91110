"""A Ray cluster on this machine, in a process of its own: a head and workers with a fake GPU each.

Prints the address for programs elsewhere. A line `kill` on its standard input kills the worker that
came first; it ends with its standard input.
"""

import sys

from phasewise_replay.engines.server_process import free_port
from ray.cluster_utils import Cluster


def main() -> None:
    """Start, and do as told."""
    port = free_port()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "num_gpus": 0,
            "include_dashboard": False,
            "ray_client_server_port": port,
        },
    )
    nodes = [cluster.add_node(num_cpus=1, num_gpus=1) for _ in range(int(sys.argv[1]))]
    cluster.wait_for_nodes()
    sys.stdout.write(f"ray://127.0.0.1:{port}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(0), allow_graceful=False)
            sys.stdout.write("killed\n")
            sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    main()
