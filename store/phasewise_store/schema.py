"""The tables, as numbered migrations; an old one is never edited, a change is a new one.

Their SQL stands in `migrations`, by subject; `docs/schema.md` is printed from it by `schema_page`.
"""

from collections.abc import Callable

import duckdb

from phasewise_store import compression, doubles
from phasewise_store.migrations import (
    calls,
    cells,
    collector_log,
    costs,
    findings,
    first_tables,
    identities,
    measured_gpu_seconds,
    measured_outputs,
    nights,
    prefixes,
    replay_records,
)
from phasewise_store.statements import run


def m001_first_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the first tables."""
    run(connection, first_tables.FIRST_TABLES)


def m002_add_log_progress(connection: duckdb.DuckDBPyConnection) -> None:
    """Add how far the collector's log is loaded."""
    run(connection, collector_log.LOG_PROGRESS)


def m003_add_cache_reported(connection: duckdb.DuckDBPyConnection) -> None:
    """Add whether a call's source says what a cache served."""
    run(connection, calls.CACHE_REPORTED)


def m004_add_cached_usd(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the part of a call's prefill price that cache reads cost."""
    run(connection, costs.CACHED_USD)


def m005_add_accounts_of_every_signal(connection: duckdb.DuckDBPyConnection) -> None:
    """Account for logs and metrics as for spans; keep the gauges of engines."""
    run(connection, collector_log.ACCOUNTS_OF_EVERY_SIGNAL)


def m006_add_descriptions(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep which spans describe a call, how exact its prompt is, and what was lost of it."""
    run(connection, calls.DESCRIPTIONS)


def m007_choose_compression(connection: duckdb.DuckDBPyConnection) -> None:
    """Say how texts are compressed, instead of having that found out at every checkpoint."""
    compression.choose(connection, COMPRESSED)


def m008_add_tokenizers(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep the tokenizers of served models, to count prompts as they do."""
    run(connection, calls.TOKENIZERS)


def m009_add_call_identities(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep by what a call is known, whatever door it comes through; merge what stands twice."""
    run(connection, identities.CALL_IDENTITIES)
    doubles.mend(connection)


def m010_add_labels(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep what people say of calls (version, customer, tags), and how sessions ended."""
    run(connection, calls.LABELS)


def m011_add_billing_and_side_calls(connection: duckdb.DuckDBPyConnection) -> None:
    """Add what decides a call's price beside its tokens; keep embeddings and rerankings."""
    run(connection, costs.BILLING_AND_SIDE_CALLS)


def m012_add_turns(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep how calls follow each other in conversations, and the tool runs that this shows."""
    run(connection, identities.TURNS)


def m013_add_tool_text(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep what tools were given and what they gave back."""
    run(connection, calls.TOOL_TEXT)


def m014_add_findings(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep what is found of each call: where its input went, where its prompt broke."""
    run(connection, findings.FINDINGS)


def m015_add_cells(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep sums of the calls, and which sessions have them to be made again: now all."""
    run(connection, cells.CELLS)


def m016_add_reuse_and_kept_answers(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep what each call shares with earlier ones, and answers that take long to make."""
    run(connection, prefixes.REUSE_AND_KEPT_ANSWERS)


def m017_add_states_of_input(connection: duckdb.DuckDBPyConnection) -> None:
    """Make costs and findings again, with the states of input tokens and the bill's range."""
    run(connection, costs.STATES_OF_INPUT)


def m019_add_reanalyses(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep how far the analysis by another version is."""
    run(connection, findings.REANALYSES)


def m021_add_measured_outputs(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep what engines wrote in replays that compare answers."""
    run(connection, measured_outputs.MEASURED_OUTPUTS)


def m022_add_nights(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep what the gates of nightly runs saw."""
    run(connection, nights.NIGHTS)


def m023_add_measured_gpu_seconds(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep what each call of a simulated replay took of the GPUs."""
    run(connection, measured_gpu_seconds.MEASURED_GPU_SECONDS)


def m024_add_replay_records(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep how a replay's sessions were chosen, and more of each call."""
    run(connection, replay_records.REPLAY_RECORDS)


COMPRESSED: dict[str, compression.Methods] = {
    "segments": {"digest": "uncompressed", "content": "uncompressed"},
    "spans": {"attributes": "zstd"},
    "llm_calls": {"described_by": "zstd"},
}

STATEMENTS = (
    first_tables.FIRST_TABLES,
    collector_log.LOG_PROGRESS,
    calls.CACHE_REPORTED,
    costs.CACHED_USD,
    collector_log.ACCOUNTS_OF_EVERY_SIGNAL,
    calls.DESCRIPTIONS,
    calls.TOKENIZERS,
    identities.CALL_IDENTITIES,
    calls.LABELS,
    costs.BILLING_AND_SIDE_CALLS,
    identities.TURNS,
    calls.TOOL_TEXT,
    findings.FINDINGS,
    cells.CELLS,
    prefixes.REUSE_AND_KEPT_ANSWERS,
    costs.STATES_OF_INPUT,
    findings.REANALYSES,
    measured_outputs.MEASURED_OUTPUTS,
    nights.NIGHTS,
    measured_gpu_seconds.MEASURED_GPU_SECONDS,
    replay_records.REPLAY_RECORDS,
)
"""what the migrations run, for `schema_page`"""

MIGRATIONS: tuple[Callable[[duckdb.DuckDBPyConnection], None], ...] = (
    m001_first_tables,
    m002_add_log_progress,
    m003_add_cache_reported,
    m004_add_cached_usd,
    m005_add_accounts_of_every_signal,
    m006_add_descriptions,
    m007_choose_compression,
    m008_add_tokenizers,
    m009_add_call_identities,
    m010_add_labels,
    m011_add_billing_and_side_calls,
    m012_add_turns,
    m013_add_tool_text,
    m014_add_findings,
    m015_add_cells,
    m016_add_reuse_and_kept_answers,
    m017_add_states_of_input,
    m019_add_reanalyses,
    m021_add_measured_outputs,
    m022_add_nights,
    m023_add_measured_gpu_seconds,
    m024_add_replay_records,
)
"""in order; the schema's version is how many of them have run"""
