"""Which drafts of speculative decoding would have been accepted, per agent, and what they save.

Drafts are computed on the captured tokens, as vLLM's n-gram proposer and suffix decoding make them;
tokens are the model's own where `phasewise tokenizer` has its tokenizer, else estimates. With
--shape and --gpu the engine model adds what happens to decode time per token when so many sequences
decode together: drafts are cheap at a small batch and cost compute at a large one.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from phasewise_analyzer.engine.deployments.deployment import Deployment, deploy
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.outcomes.speculation_methods import (
    AT_ONCE,
    Measured,
    best_ngram,
    decode_change,
    measure,
    ngram_settings,
    reach,
)
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.engine.speculation import config
from phasewise_analyzer.engine.speculation.captured_calls import CapturedCalls
from phasewise_analyzer.engine.speculation.config import NgramConfig, SpeculationConfig
from phasewise_store.errors import UsageError

from phasewise_web.cli import open_database, scope_arguments
from phasewise_web.cli.output import print_json, progress, say, table

NAME = "speculation"

USUAL: tuple[SpeculationConfig, ...] = (
    NgramConfig(4),
    NgramConfig(4, 2, 5),
    config.USUAL_SUFFIX,
)
"""vLLM's defaults, and the n-grams of the replay's preset"""
MOST_CALLS = 2000
SEARCHED_AT = 8
_LIMITS = {
    "slower": "then slower",
    "KV cache": "then the KV cache is full",
    "none found": "or more",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the filters, the methods and the engine."""
    scope_arguments.add_arguments(parser)
    parser.add_argument(
        "--speculative-config",
        dest="configs",
        metavar="JSON",
        action="append",
        default=[],
        help="a method as vLLM's flag takes it; can be repeated (default: two of n-grams, suffix)",
    )
    parser.add_argument(
        "--by",
        choices=("agent", "session", "call"),
        default="agent",
        help="what a row is (default: agent)",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=scope_arguments.positive,
        default=MOST_CALLS,
        help=f"the first so many calls with text (default: {MOST_CALLS})",
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="look for the n-gram settings with the lowest decode time of each row, too",
    )
    parser.add_argument(
        "--at-once",
        metavar="N",
        type=scope_arguments.positive,
        default=SEARCHED_AT,
        help=f"with --search: sequences that decode together (default: {SEARCHED_AT})",
    )
    parser.add_argument("--shape", metavar="NAME_OR_CONFIG", help="model shape, for decode time")
    parser.add_argument("--gpu", metavar="NAME", help="e.g. h100-sxm, for decode time")
    parser.add_argument(
        "--kernels", metavar="FOLDER", type=Path, help="measured kernel tables (CSV)"
    )
    parser.add_argument(
        "--aiconfigurator",
        metavar="MODEL",
        help="step times of this model on Hugging Face by AIConfigurator, an extra",
    )
    parser.add_argument(
        "--tp", metavar="N", type=scope_arguments.positive, default=1, help="tensor parallelism"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draft for the captured calls and print."""
    configs = [config.parse(text) for text in arguments.configs] or list(USUAL)
    engine = _engine(arguments)
    if arguments.search and engine is None:
        raise UsageError(
            "longer drafts always accept more; what they cost depends on the engine: a search "
            "needs --shape and --gpu"
        )
    settings = ngram_settings() if arguments.search else []
    searched = [one for one in settings if one not in configs]
    scope = scope_arguments.scope(arguments)
    with open_database.opened(arguments.db) as store, store.snapshot():
        calls = CapturedCalls(store, scope, most=arguments.limit)
        with progress("drafting"):
            measured = measure(calls, [*configs, *searched], arguments.by)
        basis = calls.basis()
    if not measured:
        raise UsageError(
            "no calls with the text of prompt and output: without it nothing can be computed; "
            "`phasewise simulate … --acceptance-length` assumes an acceptance"
        )
    found = [one for one in measured if one.config in configs]
    best = [] if engine is None else best_ngram(measured, engine, arguments.at_once)
    if arguments.json:
        answer: dict[str, object] = {
            "tokens": basis,
            "rows": [_row(one, engine) for one in found],
        }
        if arguments.search:
            answer["best"] = [_row(one, engine) for one in best]
        if engine is not None:
            answer |= {"engine": engine.name, "step_times": asdict(engine.times.basis)}
        print_json(answer)
        return 0
    _print("drafts that the captured outputs accept", found, engine, arguments.by)
    if arguments.search:
        title = f"best of {len(settings)} n-gram settings, {arguments.at_once} sequences at once"
        _print(title, best, engine, arguments.by)
    say(f"acceptance: computed on {basis}")
    if sum(one.acceptance.calls for one in found[:: len(configs)]) == arguments.limit:
        say(f"note: only the first {arguments.limit:,} calls with text; --limit takes more")
    if engine is not None:
        say(f"decode time: simulated, {engine.name}; {engine.times.basis.in_words}")
    return 0


def _engine(arguments: argparse.Namespace) -> Deployment | None:
    if arguments.shape is None and arguments.gpu is None:
        return None
    if not (arguments.shape and arguments.gpu):
        raise UsageError("decode time needs both --shape and --gpu")
    return deploy(
        model_config.find(arguments.shape),
        gpus.find(arguments.gpu),
        {},
        tp=arguments.tp,
        kernels=arguments.kernels,
        aiconfigurator=arguments.aiconfigurator,
    )


def _row(found: Measured, engine: Deployment | None) -> dict[str, object]:
    said = found.acceptance
    row: dict[str, object] = {
        "group": found.group,
        "method": found.config.name,
        "config": asdict(found.config),
        "output_tokens": found.output_tokens,
        "mean_context_tokens": found.context,
        **asdict(said),
        "acceptance_rate": said.rate,
        "acceptance_length": said.length,
        "tokens_per_step": said.tokens_per_step,
    }
    if engine is not None:
        changes = [decode_change(found, engine, count) for count in AT_ONCE]
        row["decode"] = [asdict(one) | {"change": one.change} for one in changes if one is not None]
        row["faster_up_to"] = asdict(reach(found, engine))
    return row


def _print(title: str, found: Sequence[Measured], engine: Deployment | None, by: str) -> None:
    columns = [
        (by, False),
        ("calls", True),
        ("output tokens", True),
        ("method", False),
        ("drafted", True),
        ("accepted", True),
        ("rate", True),
        ("acceptance length", True),
        ("tokens per step", True),
    ]
    if engine is not None:
        columns += [(f"decode time at {count}", True) for count in AT_ONCE]
        columns.append(("faster up to", True))
    rows = []
    for one in found:
        said = one.acceptance
        row = [
            one.group,
            f"{said.calls:,}",
            f"{one.output_tokens:,}",
            one.config.name,
            f"{said.drafted:,}",
            f"{said.accepted:,}",
            "-" if said.rate is None else f"{said.rate:.1%}",
            "-" if said.length is None else f"{said.length:.2f}",
            "-" if said.tokens_per_step is None else f"{said.tokens_per_step:.2f}",
        ]
        if engine is not None:
            changes = (decode_change(one, engine, count) for count in AT_ONCE)
            row += ["-" if change is None else f"{change.change:+.0%}" for change in changes]
            limit = reach(one, engine)
            row.append(f"{limit.at_once:,} ({_LIMITS[limit.limit]})")
        rows.append(row)
    table(title, columns, rows)
