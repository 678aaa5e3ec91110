"""Collect OTLP and serve the pages, over one database, until Ctrl-C.

OTLP/HTTP (protobuf or JSON) goes to port 4318, the pages are on port 8321. What was acknowledged is
on disk: nothing is lost by stopping, and what waits is loaded at the next start.
"""

import argparse

from phasewise_store.store import Store

from phasewise_web import serving
from phasewise_web.cli.opening import analysed
from phasewise_web.cli.output import say
from phasewise_web.serving import Addresses

NAME = "up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the addresses."""
    add_ports(parser)


def add_ports(parser: argparse.ArgumentParser) -> None:
    """Add --host, --port and --otlp-port."""
    parser.add_argument("--host", default=serving.HOST, help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=serving.WEB_PORT, help="of the pages (%(default)s)"
    )
    parser.add_argument(
        "--otlp-port", type=int, default=serving.OTLP_PORT, help="of OTLP/HTTP (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Open the database and serve."""
    with analysed(arguments.db) as store:
        serve(store, Addresses(arguments.host, arguments.port, arguments.otlp_port))
    return 0


def serve(store: Store, addresses: Addresses) -> None:
    """Say where, and serve until Ctrl-C."""
    with serving.opened(addresses) as (web, otlp):
        host, port = web.getsockname()[:2]
        say(f"pages on http://{host}:{port}   database {store.path}")
        if otlp is not None:
            host, port = otlp.getsockname()[:2]
            say(f"OTLP/HTTP on http://{host}:{port}   (Ctrl-C ends both)")
        serving.serve(store, web, otlp)
    say("stopped; everything received is in the database")
