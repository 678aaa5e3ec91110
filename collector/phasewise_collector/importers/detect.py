"""Which importer reads a file: by its content, or by the name of a format."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from phasewise_store.errors import UsageError

from phasewise_collector.importers import (
    aiperf,
    azure_llm,
    bailian,
    batch_output,
    burstgpt,
    cassettes,
    claude_code,
    codex,
    codex_exec,
    copilot_cli,
    gemini_cli,
    kv_cache_tester,
    langfuse,
    lmcache,
    mini_swe_agent,
    mooncake,
    opencode,
    openhands,
    openhands_eval,
    otlp_file,
    pi_mono,
    sharegpt,
    span_list,
    swe_agent,
    tau2_bench,
    tau_bench,
    usage_bodies,
    usage_export,
)
from phasewise_collector.importers.importer import Importer

IMPORTERS: Mapping[str, Importer] = {
    module.FORMAT: cast("Importer", module)
    for module in (
        *(bailian, aiperf, mooncake),
        *(kv_cache_tester, lmcache, tau2_bench, tau_bench, usage_bodies),
        *(pi_mono, claude_code, codex, codex_exec, copilot_cli, gemini_cli, opencode),
        *(openhands_eval, mini_swe_agent, batch_output, sharegpt),
        *(azure_llm, burstgpt, usage_export, langfuse, swe_agent),
        *(openhands, otlp_file, span_list, cassettes),
    )
}
"""by the name that `--format` takes; asked in this order"""


def named(name: str) -> Importer:
    """Return the importer of a format; raises UsageError where there is none."""
    if name not in IMPORTERS:
        raise UsageError(f"unknown format `{name}`; the formats are {', '.join(IMPORTERS)}")
    return IMPORTERS[name]


def recognised(head: bytes, path: Path) -> Importer | None:
    """Return the importer that knows a file by its first uncompressed bytes."""
    return next((one for one in IMPORTERS.values() if one.recognises(head, path)), None)
