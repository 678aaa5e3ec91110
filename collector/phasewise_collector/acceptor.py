"""The acceptor process: receives OTLP, writes the log, and never waits for the database.

`phasewise up` starts it with a listening socket that stays open across its restarts:
`python -m phasewise_collector.acceptor --socket FD --log FOLDER`.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import uvicorn

from phasewise_collector.log.writer import LogWriter
from phasewise_collector.otlp.receiver import Receiver

READY = "ready"
"""the line that says that requests are answered now"""


async def serve(listener: socket.socket, folder: Path) -> None:
    """Receive until SIGTERM or SIGINT; whatever was acknowledged is on disk."""
    writer = LogWriter(folder)
    config = uvicorn.Config(
        Receiver(writer.append),
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    announcing = asyncio.create_task(_announce(server))
    try:
        await server.serve(sockets=[listener])
    finally:
        announcing.cancel()
        await writer.close()


async def _announce(server: uvicorn.Server) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    print(READY, flush=True)  # noqa: T201  # the supervisor waits for this line


def stop_with_parent() -> None:
    """End this process in good order when standard input closes: the supervisor is gone then."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="stop-with-parent", daemon=True).start()


def main() -> None:
    """Run the acceptor; the supervisor gives the arguments."""
    parser = argparse.ArgumentParser(description="Receive OTLP into a log.")
    parser.add_argument("--socket", type=int, required=True, help="file number of the listener")
    parser.add_argument("--log", type=Path, required=True, help="the log's folder")
    arguments = parser.parse_args()
    stop_with_parent()
    asyncio.run(serve(socket.socket(fileno=arguments.socket), arguments.log))


if __name__ == "__main__":
    main()
