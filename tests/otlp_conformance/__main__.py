"""Hold any OTLP receiver to its obligations.

For example:  python -m tests.otlp_conformance http://127.0.0.1:4318 --grpc 127.0.0.1:4317
Exit 0 when no MUST failed, 1 otherwise.
"""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict

from tests.otlp_conformance.case import EVERY
from tests.otlp_conformance.http_wire import Address
from tests.otlp_conformance.stored import CountCommand, CountUrl, Stored
from tests.otlp_conformance.suite import Result, run
from tests.otlp_conformance.talk import Receiver


def main() -> int:
    """Run the cases and print how they ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.otlp_conformance", description=__doc__)
    parser.add_argument("url", nargs="?", help="of OTLP/HTTP, without /v1/traces")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="of OTLP/gRPC")
    parser.add_argument("--only", metavar="TEXT", default="", help="cases whose name contains it")
    parser.add_argument("--encoding", choices=EVERY, action="append", help="may be given again")
    parser.add_argument("--limit-mib", type=int, default=64, help="the receiver's size limit")
    parser.add_argument("--timeout", type=float, default=10.0, help="longest wait, in seconds")
    parser.add_argument("--count-url", help="answers with the number of spans of {trace_id}")
    parser.add_argument("--count-command", help="prints the number of spans of {trace_id}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if arguments.url is None and arguments.grpc is None:
        parser.error("name a URL, or --grpc HOST:PORT, or both")
    stored: Stored | None = None
    if arguments.count_url:
        stored = CountUrl(arguments.count_url)
    elif arguments.count_command:
        stored = CountCommand(arguments.count_command)
    receiver = Receiver(
        http=None if arguments.url is None else Address.of(arguments.url),
        grpc=arguments.grpc,
        stored=stored,
        limit_bytes=arguments.limit_mib << 20,
        timeout_s=arguments.timeout,
    )
    results = []
    for result in run(
        receiver,
        encodings=arguments.encoding or EVERY,
        wanted=lambda case: arguments.only in case.name,
    ):
        results.append(result)
        if not arguments.json:
            _say(result)
    if arguments.json:
        print(json.dumps([_plain(result) for result in results], indent=1))
    else:
        counts = Counter((result.encoding, result.end) for result in results)
        for encoding in EVERY:
            ends = [f"{n} {end}" for (one, end), n in sorted(counts.items()) if one == encoding]
            print(f"{encoding}: {', '.join(ends) or 'not run'}")
    return 1 if any(one.end == "failed" and one.case.level == "MUST" for one in results) else 0


def _say(result: Result) -> None:
    if result.end != "passed":
        case = result.case
        print(
            f"{result.end.upper():<12} {case.level:<6} {result.encoding:<8} "
            f"{case.section}.{case.name}: {case.obligation} [{case.source}]\n    {result.reason}",
            flush=True,
        )


def _plain(result: Result) -> dict[str, object]:
    case = asdict(result.case)
    case.pop("run")
    return {**case, "encoding": result.encoding, "end": result.end, "reason": result.reason}


if __name__ == "__main__":
    sys.exit(main())
