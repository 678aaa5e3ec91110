"""What the same calls would use and cost under other rules, or with repaired prompts.

Nothing is sent: the recorded prompts are asked again of simulated caches. Without options: the
calls' own rules with their other lifetimes, a vLLM of several sizes, and the repairs of all causes
that `phasewise breaks` finds and that re-writing a prompt can repair, one by one and together.
Savings are differences between two simulations, never sums. docs/whatif.md says more.
"""

import argparse
from pathlib import Path

from phasewise_analyzer import hardware
from phasewise_analyzer.breaks.facts import Finding
from phasewise_analyzer.breaks.find import find
from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.prices import PriceBook
from phasewise_analyzer.whatif import scenario
from phasewise_analyzer.whatif.compare import Wanted, compare
from phasewise_analyzer.whatif.repairs import chosen
from phasewise_analyzer.whatif.repricing import Books
from phasewise_analyzer.whatif.scenario import GIGABYTE, OWN, Scenario
from phasewise_store.errors import UsageError

from phasewise_web.cli import scope_arguments, whatif_export, whatif_tables
from phasewise_web.cli.open_database import analysed
from phasewise_web.cli.output import print_json, progress, say

NAME = "whatif"

USUAL_GB: tuple[float, ...] = (40.0, 320.0)
"""KV memory of the vLLM servers that are tried without options: part of a GPU, and of several"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scope, the rules, the repairs and the export."""
    scope_arguments.add_arguments(parser)
    parser.add_argument(
        "--policy",
        metavar="ID",
        action="append",
        default=[],
        help="rules of a record in docs/policies.md; may stand several times",
    )
    parser.add_argument("--ttl", metavar="NAME", help="a lifetime, e.g. 1h, or `mixed`")
    parser.add_argument(
        "--as",
        dest="seller",
        metavar="PROVIDER/MODEL",
        action="append",
        default=[],
        type=scenario.parse_seller,
        help="rules and prices of another seller, as of today; may stand several times",
    )
    parser.add_argument(
        "--vllm-gb",
        metavar="N,N,…",
        type=_gigabytes,
        default=(),
        help="GB of KV memory of a vLLM of your own",
    )
    parser.add_argument(
        "--kv-model",
        metavar="NAME",
        default="llama-3.1-70b",
        help="model shape that says how much memory a token takes (default: llama-3.1-70b)",
    )
    parser.add_argument(
        "--repair",
        metavar="CAUSE",
        nargs="+",
        default=[],
        help="causes as `phasewise breaks` names them, or `all`",
    )
    parser.add_argument(
        "--plan-breakpoints", action="store_true", help="search the best cache breakpoints"
    )
    parser.add_argument(
        "--export",
        metavar="FOLDER",
        type=Path,
        help="store the repaired sessions as a data set, and plans that replay before and after",
    )


def run(arguments: argparse.Namespace) -> int:
    """Simulate and print."""
    books = Books(book.read(), PriceBook())
    shape = hardware.model(arguments.kv_model)
    causes = chosen(arguments.repair)
    if arguments.export is not None:
        whatif_export.check(scope_arguments.scope(arguments))
    with analysed(arguments.db) as store:
        scope = scope_arguments.scope(arguments)
        with progress("reading prompts"):
            requests = Requests(store, scope)
        if not (requests.tree.leaf >= 0).any():
            raise UsageError("no calls with a known prompt in scope; `phasewise agents` shows all")
        usual = _is_usual(arguments)
        if usual or (arguments.export is not None and not causes):
            causes = chosen(["all"])
        findings: tuple[Finding, ...] = ()
        if causes and requests.calls["block_tokens"].is_not_null().any():
            say("note: of some prompts in scope only hashes are known, so none is repaired")
        elif causes:
            with progress("looking for breaks"):
                findings = find(store, books.rules, scope).findings
        wanted = Wanted(
            baseline=_baseline(requests, books, shape),
            others=tuple(_scenarios(arguments, requests, books, shape, usual=usual)),
            causes=causes,
            findings=findings,
            breakpoints=arguments.plan_breakpoints,
        )
        with progress("simulating") as step:
            found = compare(store, requests, wanted, books, scope, step=step)
        exported = None
        if arguments.export is not None:
            sizes = arguments.vllm_gb or (USUAL_GB[0],)
            engine = scenario.engine(books.rules, round(sizes[0] * GIGABYTE), shape)
            with progress("writing the repaired sessions"):
                exported = whatif_export.export(
                    store,
                    scope,
                    whatif_export.Target(arguments.export, shape, engine),
                    wanted,
                    books,
                )
    if arguments.json:
        print_json({"whatif": found, "export": exported})
    else:
        whatif_tables.show(found)
        if exported is not None:
            whatif_tables.show_export(exported, arguments.db)
    return 0


def _is_usual(arguments: argparse.Namespace) -> bool:
    """Say whether nothing in particular was asked for."""
    return not (
        arguments.policy
        or arguments.ttl
        or arguments.seller
        or arguments.vllm_gb
        or arguments.repair
        or arguments.plan_breakpoints
    )


def _baseline(requests: Requests, books: Books, shape: hardware.Model) -> Scenario:
    """Give the calls' own rules; where nobody knows those, a vLLM that never evicts."""
    if scenario.own_policies(requests, books.rules):
        return OWN
    return scenario.engine(books.rules, None, shape)


def _scenarios(
    arguments: argparse.Namespace,
    requests: Requests,
    books: Books,
    shape: hardware.Model,
    *,
    usual: bool,
) -> list[Scenario]:
    own = scenario.own_policies(requests, books.rules)
    if usual:
        sizes = [round(size * GIGABYTE) for size in USUAL_GB]
        engines = [scenario.engine(books.rules, size, shape) for size in (*sizes, None)]
        return [*scenario.with_lifetimes(own), *(engines if own else engines[:-1])]
    policies = [books.rules.named(name) for name in arguments.policy]
    ruled: list[Policy | None] = [*policies] or [None]
    found = [
        scenario.sold_by(seller, policy, books.rules)
        for seller in arguments.seller
        for policy in ruled
    ]
    if not arguments.seller:
        found = [Scenario(f"policy {policy.id}", policy) for policy in policies]
    if arguments.ttl is not None:
        found += scenario.living(found, arguments.ttl, own)
    return found + [
        scenario.engine(books.rules, round(size * GIGABYTE), shape) for size in arguments.vllm_gb
    ]


def _gigabytes(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < size < float("inf") for size in found):
        raise argparse.ArgumentTypeError(f"`{text}` is no list of numbers above zero")
    return found
