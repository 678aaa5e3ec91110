"""Runs NVIDIA Dynamo's offline replay on a file of Mooncake's form; prints what it took, as JSON.

It runs in Dynamo's own environment:  python dynamo_replay.py FILE BLOCK WORKERS [CONCURRENCY]
"""

import json
import sys

from dynamo._core import run_mocker_trace_replay


def main() -> None:
    """Replay a trace with so many workers, in an open loop or with so many sessions at once."""
    path, block, workers, *concurrency = sys.argv[1:]
    found = run_mocker_trace_replay(
        [path],
        num_workers=int(workers),
        trace_block_size=int(block),
        trace_format="mooncake",
        replay_concurrency=int(concurrency[0]) if concurrency else None,
    )
    summary = found.summary
    print(
        json.dumps(
            {
                "seconds": summary["wall_time_ms"] / 1e3,
                "requests": summary["completed_requests"],
                "reused": summary["prefix_cache_reused_ratio"],
            }
        )
    )


if __name__ == "__main__":
    main()
