"""What the same calls would use and cost under other cache rules, or with repaired prompts.

Sends nothing: the recorded prompts run through simulated caches. Without options, simulates the
calls' own cache rules with each lifetime they offer, vLLM with several cache sizes, and repairs of
all causes found by `phasewise breaks` that rewriting a prompt can repair, one by one and together.
A saving is the difference between two simulations, never a sum of savings. See docs/whatif.md.
"""

import argparse
from pathlib import Path

from phasewise_analyzer.breaks.facts import Finding
from phasewise_analyzer.breaks.find import find
from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.engine.shapes.shape import Shape
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
"""KV memory of the vLLM servers simulated by default: part of one GPU, and of several"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scope, the rules, the repairs and the export."""
    scope_arguments.add_arguments(parser)
    parser.add_argument(
        "--policy",
        metavar="ID",
        action="append",
        default=[],
        help="cache policy from docs/policies.md; can be repeated",
    )
    parser.add_argument("--ttl", metavar="NAME", help="cache lifetime, e.g. 1h, or `mixed`")
    parser.add_argument(
        "--as",
        dest="seller",
        metavar="PROVIDER/MODEL",
        action="append",
        default=[],
        type=scenario.parse_seller,
        help="today's cache rules and prices of another provider; can be repeated",
    )
    parser.add_argument(
        "--vllm-gb",
        metavar="N,N,…",
        type=_gigabytes,
        default=(),
        help="KV cache sizes in GB of your own vLLM",
    )
    parser.add_argument(
        "--kv-model",
        metavar="NAME",
        default="llama-3.1-70b",
        help="model whose shape gives the KV memory per token (default: llama-3.1-70b)",
    )
    parser.add_argument(
        "--repair",
        metavar="CAUSE",
        nargs="+",
        default=[],
        help="causes to repair, as named by `phasewise breaks`, or `all`",
    )
    parser.add_argument(
        "--plan-breakpoints", action="store_true", help="search for the best cache breakpoints"
    )
    parser.add_argument(
        "--export",
        metavar="FOLDER",
        type=Path,
        help="store the repaired sessions as a data set, and write plans that replay both versions",
    )


def run(arguments: argparse.Namespace) -> int:
    """Simulate and print."""
    books = Books(book.read(), PriceBook())
    shape = model_config.known(arguments.kv_model)
    causes = chosen(arguments.repair)
    if arguments.export is not None:
        whatif_export.check(scope_arguments.scope(arguments))
    with analysed(arguments.db) as store:
        scope = scope_arguments.scope(arguments)
        with progress("reading prompts"):
            requests = Requests(store, scope)
        if not (requests.tree.leaf >= 0).any():
            raise UsageError("no calls with a known prompt; `phasewise agents` lists all agents")
        usual = _is_usual(arguments)
        if usual or (arguments.export is not None and not causes):
            causes = chosen(["all"])
        findings: tuple[Finding, ...] = ()
        if causes and requests.calls["block_tokens"].is_not_null().any():
            say("note: some prompts are known only by hashes, so no prompts are repaired")
        elif causes:
            with progress("finding breaks"):
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
                )
    if arguments.json:
        print_json({"whatif": found, "export": exported})
    else:
        whatif_tables.show(found)
        if exported is not None:
            whatif_tables.show_export(exported, arguments.db)
    return 0


def _is_usual(arguments: argparse.Namespace) -> bool:
    """Return whether no options were given."""
    return not (
        arguments.policy
        or arguments.ttl
        or arguments.seller
        or arguments.vllm_gb
        or arguments.repair
        or arguments.plan_breakpoints
    )


def _baseline(requests: Requests, books: Books, shape: Shape) -> Scenario:
    """Return the calls' own rules; when they are not known, a vLLM that never evicts."""
    if scenario.own_policies(requests, books.rules):
        return OWN
    return scenario.engine(books.rules, None, shape)


def _scenarios(
    arguments: argparse.Namespace,
    requests: Requests,
    books: Books,
    shape: Shape,
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
        raise argparse.ArgumentTypeError(f"`{text}` is not a list of numbers above 0")
    return found
