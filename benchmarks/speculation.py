"""Time the drafters on recorded sessions, and compare estimated tokens with those of a tokenizer.

usage: python benchmarks/speculation.py [PATH…] [--tokenizer FILE]

PATH are traces with text (default: tau-bench and pi-mono of ../shared/traces). CPU seconds of one
core per million tokens of prompts and outputs, tokenizing not included. With a `tokenizer.json`,
all calls are counted with it as well: how far tokens per step move is the error of the estimate.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phasewise_analyzer.engine.schedulers.drafts import Acceptance, total
from phasewise_analyzer.engine.speculation.captured_calls import (
    CapturedCall,
    CapturedCalls,
    Drafter,
)
from phasewise_analyzer.engine.speculation.config import (
    USUAL_SUFFIX,
    NgramConfig,
    SpeculationConfig,
)
from phasewise_collector.importing import import_paths
from phasewise_store import tokenizers
from phasewise_store.scope import Scope
from phasewise_store.store import Store
from phasewise_store.tokenizers import Definition

SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces"
USUAL = (
    SHARED / "tau-bench" / "gpt-4o-airline.tasks00-24.json.gz",
    SHARED / "pi-mono" / "large-session.jsonl.gz",
)
METHODS: tuple[SpeculationConfig, ...] = (NgramConfig(4), NgramConfig(4, 2, 5), USUAL_SUFFIX)


@dataclass(frozen=True, slots=True)
class Timed:
    """What a method did, and how long it took."""

    found: Acceptance
    cpu_s: float


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", type=Path, nargs="*")
    parser.add_argument("--tokenizer", type=Path)
    arguments = parser.parse_args()
    paths = arguments.paths or [path for path in USUAL if path.is_file()]
    if not paths:
        print("no traces with text: name some", file=sys.stderr)
        return 2
    for path in paths:
        with Store.in_memory() as store:
            import_paths(store, [path])
            measure(store, path.name, arguments.tokenizer)
    return 0


def measure(store: Store, name: str, tokenizer: Path | None) -> None:
    """Print the rows of one trace."""
    calls = list(CapturedCalls(store, Scope()))
    tokens = sum(len(one.prompt) + len(one.output) for one in calls)
    print(f"{name}: {len(calls):,} calls, {tokens:,} tokens")
    own: list[CapturedCall] = []
    if tokenizer is not None:
        for (model,) in store.frame("SELECT DISTINCT model FROM llm_calls").iter_rows():
            tokenizers.save(store, Definition(model, tokenizer.name, tokenizer.read_bytes()))
        own = list(CapturedCalls(store, Scope()))
    for method in METHODS:
        estimated = drafted(calls, method)
        per_step = estimated.found.tokens_per_step or 1.0
        said = f"  {method.name}: {estimated.cpu_s / tokens * 1e6:.2f} s per million tokens, "
        said += f"{per_step:.2f} tokens per step"
        if own:
            exact = drafted(own, method).found.tokens_per_step or 1.0
            said += (
                f"; {exact:.2f} with {tokenizer and tokenizer.name} ({per_step / exact - 1:+.1%})"
            )
        print(said)


def drafted(calls: Sequence[CapturedCall], method: SpeculationConfig) -> Timed:
    """Draft for all calls."""
    drafter = Drafter(method)
    began = time.process_time()
    found = total(drafter.drafts(one).steps().acceptance() for one in calls)
    return Timed(found, time.process_time() - began)


if __name__ == "__main__":
    sys.exit(main())
