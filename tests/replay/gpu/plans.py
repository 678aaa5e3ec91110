"""A small GPU plan, packed, and its run in a process of its own beside the stand-in for vLLM."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from phasewise_replay.gpu import kit_plan, pack, pack_file
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions

STUB = Path(__file__).parent / "stub"

PLAN = """
name: kit
model: shape
flags:
  gpu: {seed: 1, max-model-len: 32768}
  cpu: {max-model-len: 8192}
arms:
  prefix-caching: {enable-prefix-caching: true}
  no-prefix-caching: {enable-prefix-caching: false}
smoke:
  arms: [prefix-caching]
stages:
  - name: agents
    sessions: [{source: recorded}]
    most_output_tokens: 8
    send_lag_ms: 10000  # answers take a millisecond: on a busy machine, late ones would be void
  - name: steps
    steps: {prefill: [64, 512], cached: [[256, 64]], decode: [128], output_tokens: 8}
"""
TOKENIZER = b'{"added_tokens":[],"model":{"vocab":{"a":0}}}'


def packed(folder: Path, text: str = PLAN) -> Path:
    """Write a plan with its model shape and six recorded sessions, and pack them."""
    shape = folder / "shape"
    shape.mkdir(parents=True)
    (shape / "config.json").write_text('{"vocab_size": 8192}')
    (shape / "tokenizer.json").write_bytes(TOKENIZER)
    (folder / "plan.yaml").write_text(text)
    with Store.in_memory() as store:
        write_sessions(store)
        made = pack.pack(store, kit_plan.read(folder / "plan.yaml"))
    pack_file.write(folder / "kit.pack", made)
    return folder / "kit.pack"


def command(pack: Path, results: Path, *words: str) -> list[str]:
    """Return the command of the GPU machine."""
    module = "phasewise_replay.gpu.on_machine"
    return [sys.executable, "-m", module, str(pack), str(results), *words]


def environment(results: Path) -> Mapping[str, str]:
    """Return variables with which the stand-in is found as vLLM, and packages as in this test.

    `results` marks the servers of a run, and its folder is the home where models are unpacked.
    """
    packages = os.pathsep.join([str(STUB), *sys.path])
    home = str(results.parent)
    return {**os.environ, "PYTHONPATH": packages, "RESULTS": str(results), "HOME": home}


def run(pack: Path, results: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a pack to its end."""
    return subprocess.run(
        command(pack, results, *words),
        env=environment(results),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
