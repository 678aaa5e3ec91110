"""Store the tokenizer of a model, so that its prompts are counted with its own tokens.

For example:  phasewise tokenizer Qwen/Qwen3-8B ~/models/Qwen3-8B
MODEL is the name that the calls use. FILE is its tokenizer.json, or the folder that contains it.
Without arguments, lists the stored tokenizers. For a model without one, the tokens between two
reported totals are estimated from the text (docs/breaks.md).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.prefixes import own_tokenizer
from phasewise_reports.words import short
from phasewise_store import tokenizers
from phasewise_store.errors import UsageError
from phasewise_store.scope import Scope
from phasewise_store.store import Store
from phasewise_store.tokenizers import Definition

from phasewise_web.cli.open_database import opened
from phasewise_web.cli.output import print_json, progress, say, stdout, table

NAME = "tokenizer"

FILE_NAME = "tokenizer.json"
USUAL_RATES = (0.9, 1.1)
"""reported per counted token; outside this range the text or the tokenizer is a wrong one"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored tokenizer, and its effect."""

    model: str
    name: str
    calls: int
    """with a known prompt"""
    rate: float
    """reported tokens per counted token of text"""
    interval: float
    """of the tokens at all places of these prompts, as a share of them"""
    interval_without: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, the file, --forget and --json."""
    parser.add_argument("model", metavar="MODEL", nargs="?", help="model name, as the calls use it")
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="its tokenizer.json")
    parser.add_argument(
        "--forget",
        action="store_true",
        help="remove the tokenizer, and estimate the model's tokens again",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Store, remove or list tokenizers, then print those that are stored."""
    model, file = arguments.model, arguments.file
    if (model is None) != (file is None and not arguments.forget) or (file and arguments.forget):
        raise UsageError(
            "give MODEL FILE to store a tokenizer, MODEL --forget to remove it, or no arguments to "
            "list them"
        )
    definition = None if file is None else _read(model, file)
    with opened(arguments.db) as store:
        if definition is not None:
            tokenizers.save(store, definition)
        elif model is not None and not tokenizers.forget(store, model):
            raise UsageError(f"no tokenizer of `{model}` is stored in this database")
        with progress("counting prompts"):
            found = [_kept(store, one) for one in tokenizers.read(store)]
        names = store.frame("SELECT DISTINCT model FROM llm_calls WHERE model IS NOT NULL")["model"]
    if arguments.json:
        print_json(found)
    else:
        _print(found, sorted(names))
    return 0


def _read(model: str, file: Path) -> Definition:
    path = (file / FILE_NAME if file.is_dir() else file).resolve()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {error.strerror}") from None
    own_tokenizer.load(content)
    return Definition(model, path.parent.name if path.name == FILE_NAME else path.name, content)


def _kept(store: Store, one: Definition) -> Kept:
    scope = Scope(model=one.model)
    estimated = Requests(store, scope, tokenizers={})
    counted = Requests(store, scope)
    return Kept(
        model=one.model,
        name=one.name,
        calls=int((counted.tree.leaf >= 0).sum()),
        rate=counted.tokens.rate,
        interval=counted.tokens.interval,
        interval_without=estimated.tokens.interval,
    )


def _print(found: list[Kept], models: list[str]) -> None:
    if not found:
        stdout.print("no tokenizers stored: all tokens between reported totals are estimated")
        return
    table(
        "",
        (
            ("model", False),
            ("tokenizer", False),
            ("calls", True),
            ("reported tokens per counted token", True),
            ("interval %", True),
            ("interval without it %", True),
        ),
        [
            [
                one.model,
                one.name,
                f"{one.calls:,}",
                f"{one.rate:.3f}",
                short(100 * one.interval),
                short(100 * one.interval_without),
            ]
            for one in found
        ],
    )
    for one in found:
        least, most = USUAL_RATES
        if not one.calls:
            say(f"no calls of model `{one.model}`; the models are: {', '.join(models)}")
        elif not least <= one.rate <= most:
            say(
                f"{one.model}: its calls report {one.rate:.2f} tokens per counted token; the "
                "recorded texts are incomplete, or this is another model's tokenizer"
            )
