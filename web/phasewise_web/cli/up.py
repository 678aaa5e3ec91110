"""Collect OTLP and serve the pages, over one database, until Ctrl-C.

OTLP/gRPC goes to port 4317, OTLP/HTTP (protobuf or JSON) to 4318, the pages are on port 8321.
What was acknowledged is on disk: nothing is lost by stopping, and what waits is loaded at the next
start.
"""

import argparse
from pathlib import Path
from typing import NoReturn

from phasewise_store.store import Store

from phasewise_web import serving
from phasewise_web.cli.output import say
from phasewise_web.serving import Addresses

NAME = "up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the addresses."""
    add_ports(parser)


def add_ports(parser: argparse.ArgumentParser) -> None:
    """Add --host, --port, --allow-host, --otlp-port and --grpc-port."""
    add_page_address(parser)
    parser.add_argument(
        "--otlp-port", type=int, default=serving.OTLP_PORT, help="of OTLP/HTTP (%(default)s)"
    )
    parser.add_argument(
        "--grpc-port", type=int, default=serving.GRPC_PORT, help="of OTLP/gRPC (%(default)s)"
    )


def add_page_address(parser: argparse.ArgumentParser) -> None:
    """Add --host, --port and --allow-host."""
    parser.add_argument("--host", default=serving.HOST, help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=serving.WEB_PORT, help="of the pages (%(default)s)"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="answer to this name, too; by default only to addresses, localhost and this "
        "machine's name, so that no web page elsewhere gets in; `*` answers to every name",
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
    """Serve; the owner of the database analyses what an earlier run left."""
    serve(arguments.db, addresses_of(arguments))


def serve(database: Path, addresses: Addresses) -> NoReturn:
    """Say where, and serve until Ctrl-C; raises StoreLockedError where another process does."""
    Store.own(database).close()
    with serving.opened(addresses) as listeners:
        host, port = listeners.web.getsockname()[:2]
        say(f"pages on http://{host}:{port}   database {database}")
        if listeners.otlp is not None:
            host, port = listeners.otlp.getsockname()[:2]
            where = f"OTLP/HTTP on http://{host}:{port}"
            if listeners.grpc is not None:
                where += f", OTLP/gRPC on {host}:{listeners.grpc.getsockname()[1]}"
            say(f"{where}   (Ctrl-C ends all)")
        serving.serve(database, listeners, addresses.names)
