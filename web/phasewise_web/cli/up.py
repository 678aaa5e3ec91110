"""Run the OTLP collector and the web UI on one database until Ctrl-C.

Receives OTLP/gRPC on port 4317 and OTLP/HTTP (protobuf or JSON) on port 4318, and serves the web UI
on port 8321. Acknowledged data is on disk: stopping loses nothing, and what is still queued is
loaded at the next start.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from phasewise_store import database_lock

from phasewise_web import serving
from phasewise_web.cli.messages import say
from phasewise_web.serving import Addresses

if (
    find_spec("duckdb") is None
):  # the processes that it starts need it; importing it here takes time
    raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")

NAME = "up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the addresses."""
    add_ports(parser)


def add_ports(parser: argparse.ArgumentParser) -> None:
    """Add --host, --port, --allow-host, --otlp-port and --grpc-port."""
    add_page_address(parser)
    parser.add_argument(
        "--otlp-port",
        type=int,
        default=serving.OTLP_PORT,
        help="port of OTLP/HTTP (default: %(default)s)",
    )
    parser.add_argument(
        "--grpc-port",
        type=int,
        default=serving.GRPC_PORT,
        help="port of OTLP/gRPC (default: %(default)s)",
    )


def add_page_address(parser: argparse.ArgumentParser) -> None:
    """Add --host, --port and --allow-host."""
    parser.add_argument(
        "--host", default=serving.HOST, help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=serving.WEB_PORT,
        help="port of the web UI (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="also accept this Host name. By default only IP addresses, localhost and this "
        "machine's name are accepted, as a protection against DNS rebinding; `*` accepts any",
    )


def addresses_of(arguments: argparse.Namespace) -> Addresses:
    """Read what `add_ports` added."""
    return Addresses(
        arguments.host,
        arguments.port,
        arguments.otlp_port,
        arguments.grpc_port,
        tuple(arguments.allow_host),
    )


def run(arguments: argparse.Namespace) -> NoReturn:
    """Serve; the process that owns the database analyses calls left by an earlier run."""
    serve(arguments.db, addresses_of(arguments))


def serve(database: Path, addresses: Addresses) -> NoReturn:
    """Print the addresses and serve until Ctrl-C; raises StoreLockedError when one already runs."""
    database_lock.take(database).close()
    with serving.opened(addresses) as listeners:
        host, port = listeners.web.getsockname()[:2]
        say(f"web UI on http://{host}:{port}   database {database}")
        if listeners.otlp is not None:
            host, port = listeners.otlp.getsockname()[:2]
            where = f"OTLP/HTTP on http://{host}:{port}"
            if listeners.grpc is not None:
                where += f", OTLP/gRPC on {host}:{listeners.grpc.getsockname()[1]}"
            say(f"{where}   (Ctrl-C stops everything)")
        serving.serve(database, listeners, addresses.names)
