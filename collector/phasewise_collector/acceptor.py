"""The acceptor process: receives OTLP, writes the log, and never waits for the database.

The supervisor starts it with a listening socket that stays open across its restarts:
`python -m phasewise_collector.acceptor --socket FD --log FOLDER [--grpc HOST:PORT] [--standby]`.
"""

import argparse
import asyncio
import os
import socket
import sys
from pathlib import Path

import uvicorn

from phasewise_collector.log.writer import LogWriter
from phasewise_collector.otlp.grpc import GrpcReceiver
from phasewise_collector.otlp.intake import Intake
from phasewise_collector.otlp.receiver import Receiver
from phasewise_collector.parent import stop_with_parent

READY = "ready"
"""the line that says that requests are answered now"""
GO = b"g"
"""what a standby reads before it begins"""
STOP_S = 5


async def serve(listener: socket.socket, folder: Path, grpc: str | None) -> None:
    """Receive until SIGTERM or SIGINT; whatever was acknowledged is on disk."""
    writer = LogWriter(folder)
    intake = Intake(writer.append)
    config = uvicorn.Config(
        Receiver(intake),
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
    server = uvicorn.Server(config)
    door = None if grpc is None else GrpcReceiver(intake)
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
    print(READY, flush=True)  # noqa: T201  # the supervisor waits for this line


def main() -> None:
    """Run the acceptor; the supervisor gives the arguments."""
    parser = argparse.ArgumentParser(description="Receive OTLP into a log.")
    parser.add_argument("--socket", type=int, required=True, help="file number of the listener")
    parser.add_argument("--log", type=Path, required=True, help="the log's folder")
    parser.add_argument("--grpc", help="host:port of OTLP/gRPC")
    parser.add_argument(
        "--standby", action="store_true", help="wait for a byte on standard input before beginning"
    )
    arguments = parser.parse_args()
    if arguments.standby and os.read(sys.stdin.fileno(), 1) != GO:
        return
    stop_with_parent()
    asyncio.run(serve(socket.socket(fileno=arguments.socket), arguments.log, arguments.grpc))


if __name__ == "__main__":
    main()
