"""The acceptor process: receives OTLP, writes the log, and never waits for the database.

The supervisor starts it with a listening socket that stays open across its restarts:
`python -m phasewise_collector.acceptor --socket FD --log FOLDER [--grpc HOST:PORT] [--standby]`.
"""

import argparse
import asyncio
import errno
import os
import socket
import sys
from pathlib import Path

import uvicorn

from phasewise_collector.hosts import Guarded, Hosts
from phasewise_collector.log.writer import LogWriter
from phasewise_collector.otlp.grpc import GrpcReceiver
from phasewise_collector.otlp.intake import Intake
from phasewise_collector.otlp.receiver import Receiver
from phasewise_collector.parent import CANNOT_START, GO, LATER, say_ready, stop_with_parent

STOP_S = 5
_MAY_PASS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})
"""what a start fails with that may go well in a while, as on a full disk"""


async def serve(listener: socket.socket, folder: Path, grpc: str | None, hosts: Hosts) -> None:
    """Receive until SIGTERM or SIGINT; whatever was acknowledged is on disk."""
    writer = LogWriter(folder)
    intake = Intake(writer.append)
    config = uvicorn.Config(
        Guarded(Receiver(intake), hosts),
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
    server = uvicorn.Server(config)
    door = None if grpc is None else GrpcReceiver(intake, hosts)
    try:
        if door is not None and grpc is not None:
            await door.start(grpc)
        announcing = asyncio.create_task(_announce(server))
        await server.serve(sockets=[listener])
        announcing.cancel()
    finally:
        if door is not None:
            await door.stop(STOP_S)
        await writer.close()


async def _announce(server: uvicorn.Server) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    say_ready()


def main() -> int:
    """Run the acceptor; the supervisor gives the arguments, and starts another where it is told."""
    parser = argparse.ArgumentParser(description="Receive OTLP into a log.")
    parser.add_argument("--socket", type=int, required=True, help="file number of the listener")
    parser.add_argument("--log", type=Path, required=True, help="the log's folder")
    parser.add_argument("--grpc", help="host:port of OTLP/gRPC")
    parser.add_argument("--allow-host", action="append", default=[], help="a name to answer to")
    parser.add_argument(
        "--standby", action="store_true", help="wait for a byte on standard input before beginning"
    )
    arguments = parser.parse_args()
    if arguments.standby and os.read(sys.stdin.fileno(), 1) != GO:
        return 0
    stop_with_parent()
    try:
        listener, hosts = socket.socket(fileno=arguments.socket), Hosts(arguments.allow_host)
        asyncio.run(serve(listener, arguments.log, arguments.grpc, hosts))
    except OSError as error:
        sys.stderr.write(f"phasewise: cannot receive spans: {error}\n")
        return LATER if error.errno in _MAY_PASS else CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
