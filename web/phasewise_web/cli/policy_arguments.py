"""The argument for a book of cache policies in addition to the built-in ones."""

import argparse
from pathlib import Path

from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.book import Book


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --policies."""
    parser.add_argument(
        "--policies",
        type=Path,
        metavar="PATH",
        help="file or folder with your own cache policies; they take precedence (docs/policies.md)",
    )


def given(arguments: argparse.Namespace) -> Book | None:
    """Read the book with one's own policies; None where none are named: then kept rows tell."""
    return None if arguments.policies is None else read(arguments)


def read(arguments: argparse.Namespace) -> Book:
    """Read the book; raises UsageError naming file and line."""
    return book.read(arguments.policies)
