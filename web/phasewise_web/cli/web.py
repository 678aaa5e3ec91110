"""Serve the web UI without the collector until Ctrl-C."""

import argparse
from typing import NoReturn

from phasewise_web.cli.open_database import require
from phasewise_web.cli.up import add_page_address, serve
from phasewise_web.serving import Addresses

NAME = "web"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --host, --port and --allow-host."""
    add_page_address(parser)


def run(arguments: argparse.Namespace) -> NoReturn:
    """Serve."""
    require(arguments.db)
    names = tuple(arguments.allow_host)
    serve(arguments.db, Addresses(arguments.host, arguments.port, None, names=names))
