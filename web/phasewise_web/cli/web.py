"""Serve the pages only, without the collector, until Ctrl-C."""

import argparse
from typing import NoReturn

from phasewise_web import serving
from phasewise_web.cli.up import serve
from phasewise_web.serving import Addresses

NAME = "web"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --host and --port."""
    parser.add_argument("--host", default=serving.HOST, help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=serving.WEB_PORT, help="of the pages (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> NoReturn:
    """Serve."""
    serve(arguments.db, Addresses(arguments.host, arguments.port, None))
