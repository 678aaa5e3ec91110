"""The tables, as numbered migrations; an old one is never edited, a change is a new one.

`docs/schema.md` is printed from here by `schema_page`.
"""

from collections.abc import Callable

import duckdb

from phasewise_store import compression, doubles
from phasewise_store.statements import run

_M001 = """
CREATE TABLE sources (
    source_id   VARCHAR PRIMARY KEY,   -- hash of the file's exact bytes, or 'live'
    name        VARCHAR NOT NULL,      -- the data set
    format      VARCHAR NOT NULL,
    path        VARCHAR NOT NULL,
    imported_at TIMESTAMP NOT NULL DEFAULT current_timestamp::TIMESTAMP
);
CREATE TABLE sessions (
    session_id VARCHAR PRIMARY KEY,
    source_id  VARCHAR NOT NULL,
    name       VARCHAR,
    started_ns BIGINT,
    ended_ns   BIGINT,
    outcome    VARCHAR
);
CREATE TABLE agents (
    agent_id        VARCHAR PRIMARY KEY,  -- one running instance
    session_id      VARCHAR NOT NULL,
    name            VARCHAR NOT NULL,     -- the role
    parent_agent_id VARCHAR
);
CREATE TABLE spans (
    trace_id           VARCHAR NOT NULL,
    span_id            VARCHAR NOT NULL,
    parent_span_id     VARCHAR,
    name               VARCHAR NOT NULL,
    kind               VARCHAR NOT NULL,
    start_ns           BIGINT NOT NULL,
    end_ns             BIGINT NOT NULL,
    service_name       VARCHAR NOT NULL,
    scope_name         VARCHAR NOT NULL,
    scope_version      VARCHAR NOT NULL,
    status             VARCHAR NOT NULL,
    status_message     VARCHAR NOT NULL,
    attributes         VARCHAR NOT NULL,  -- JSON without prompt text: that stands in segments
    dropped_attributes INTEGER NOT NULL,
    session_id         VARCHAR,
    agent_id           VARCHAR,
    PRIMARY KEY (trace_id, span_id)
);
CREATE TABLE segments (
    segment_id UBIGINT PRIMARY KEY,  -- first 8 bytes of the digest
    digest     BLOB NOT NULL,        -- xxh3_128 of kind, role and exact bytes
    kind       VARCHAR NOT NULL,
    role       VARCHAR,
    tokens     INTEGER NOT NULL,     -- exact for a block, estimated for text
    bytes      INTEGER,
    content    BLOB                  -- zstd of the exact bytes; NULL when only a hash is known
);
CREATE TABLE nodes (
    node_id    UBIGINT PRIMARY KEY,  -- xxh3_64 of parent and segment
    parent_id  UBIGINT NOT NULL,     -- 0 is the root
    segment_id UBIGINT NOT NULL,
    depth      INTEGER NOT NULL,     -- segments from the root, this one included
    tokens_end BIGINT NOT NULL       -- tokens from the root, this one included
);
CREATE TABLE llm_calls (
    call_id               VARCHAR PRIMARY KEY,
    ordinal               BIGINT NOT NULL,          -- order of arrival
    source_id             VARCHAR NOT NULL,
    session_id            VARCHAR NOT NULL,
    agent_id              VARCHAR NOT NULL,
    step                  INTEGER NOT NULL,
    trace_id              VARCHAR,
    span_id               VARCHAR,
    provider              VARCHAR,
    model                 VARCHAR,
    started_ns            BIGINT,
    duration_ns           BIGINT,
    ttft_ns               BIGINT,
    queue_ns              BIGINT,
    engine_prefill_ns     BIGINT,
    engine_decode_ns      BIGINT,
    input_tokens          BIGINT NOT NULL,  -- the sum of the next four
    uncached_tokens       BIGINT NOT NULL,
    cache_read_tokens     BIGINT NOT NULL,
    cache_write_5m_tokens BIGINT NOT NULL,
    cache_write_1h_tokens BIGINT NOT NULL,
    output_tokens         BIGINT NOT NULL,
    reasoning_tokens      BIGINT NOT NULL,
    usage_origin          VARCHAR NOT NULL,  -- reported, recovered, estimated, absent
    ambiguous             BOOLEAN NOT NULL,
    input_tokens_high     BIGINT,
    block_tokens          INTEGER,           -- set where the prompt is known as block hashes
    leaf_node             UBIGINT NOT NULL,  -- 0: no prompt known
    output_segments       UBIGINT[] NOT NULL,
    reported_cost_usd     DOUBLE,
    finish_reason         VARCHAR,
    error                 VARCHAR,
    streamed              BOOLEAN,
    request               VARCHAR NOT NULL   -- JSON
);
CREATE TABLE tool_calls (
    tool_call_id VARCHAR PRIMARY KEY,
    source_id    VARCHAR NOT NULL,
    session_id   VARCHAR NOT NULL,
    agent_id     VARCHAR NOT NULL,
    name         VARCHAR NOT NULL,
    after_step   INTEGER,
    started_ns   BIGINT,
    duration_ns  BIGINT,
    error        VARCHAR,
    trace_id     VARCHAR,
    span_id      VARCHAR
);
CREATE TABLE call_costs (
    call_id            VARCHAR PRIMARY KEY,
    prefill_usd        DECIMAL(24, 12),  -- NULL: no price known
    decode_usd         DECIMAL(24, 12),
    other_usd          DECIMAL(24, 12),
    price_source       VARCHAR,          -- package and version, or 'reported'
    price_ref          VARCHAR,          -- provider/model as the price list names it
    rates              VARCHAR,          -- JSON: USD per million tokens, by kind
    prefill_ns         BIGINT,
    prefill_low_ns     BIGINT,
    prefill_high_ns    BIGINT,
    decode_ns          BIGINT,
    other_ns           BIGINT,           -- queue and network
    latency_basis      VARCHAR NOT NULL, -- engine, measured, estimated, unknown
    reusable_tokens    BIGINT NOT NULL,  -- longest prefix an earlier call had sent the model
    avoidable_tokens   BIGINT NOT NULL,  -- reusable, yet not read from a cache
    avoidable_usd      DECIMAL(24, 12)
);
CREATE TABLE runs (
    run_id      VARCHAR PRIMARY KEY,
    name        VARCHAR NOT NULL,
    plan        VARCHAR NOT NULL,  -- the plan's YAML, as read
    started_ns  BIGINT NOT NULL,
    finished_ns BIGINT,
    status      VARCHAR NOT NULL,  -- running, finished, interrupted, failed
    detail      VARCHAR
);
CREATE TABLE arms (
    run_id   VARCHAR NOT NULL,
    arm      VARCHAR NOT NULL,
    place    INTEGER NOT NULL,     -- 0 is the baseline
    engine   VARCHAR NOT NULL,     -- vllm, url, simulated
    config   VARCHAR NOT NULL,     -- JSON: as planned
    resolved VARCHAR NOT NULL,     -- JSON: as the engine reports itself
    status   VARCHAR NOT NULL,     -- ok, unsupported, failed
    reason   VARCHAR,
    PRIMARY KEY (run_id, arm)
);
CREATE TABLE measured_calls (
    run_id                  VARCHAR NOT NULL,
    arm                     VARCHAR NOT NULL,
    block                   INTEGER NOT NULL,  -- which turn of the arm: ABBA gives each arm two
    session_id              VARCHAR NOT NULL,
    call_id                 VARCHAR NOT NULL,
    step                    INTEGER NOT NULL,
    sent_ns                 BIGINT NOT NULL,
    lag_ns                  BIGINT NOT NULL,   -- sent later than the plan asked
    ttft_ns                 BIGINT,
    duration_ns             BIGINT,
    queue_ns                BIGINT,
    prefill_ns              BIGINT,
    decode_ns               BIGINT,
    input_tokens            BIGINT,
    cached_tokens           BIGINT,
    predicted_cached_tokens BIGINT,
    output_tokens           BIGINT,
    planned_output_tokens   BIGINT NOT NULL,
    basis                   VARCHAR NOT NULL,  -- measured, simulated
    error                   VARCHAR,
    PRIMARY KEY (run_id, arm, block, call_id)
);
"""

_M002 = """
CREATE TABLE log_progress (
    segment         VARCHAR PRIMARY KEY,  -- file name in the collector's log
    offset_bytes    BIGINT NOT NULL,      -- loaded up to here
    requests        BIGINT NOT NULL,
    stored_spans    BIGINT NOT NULL,
    duplicate_spans BIGINT NOT NULL,      -- the store had (trace_id, span_id) already
    rejected_spans  BIGINT NOT NULL,      -- without valid ids; their senders were told
    damaged_bytes   BIGINT NOT NULL,      -- failed their checksum, or were never acknowledged
    finished        BOOLEAN NOT NULL      -- nothing is written to the segment any more
);
"""

_M003 = """
ALTER TABLE llm_calls ADD COLUMN cache_reported BOOLEAN DEFAULT TRUE;
"""

_M004 = """
ALTER TABLE call_costs ADD COLUMN cached_usd DECIMAL(24, 12);
"""

_M005 = """
CREATE TABLE log_accounts (
    segment      VARCHAR NOT NULL,  -- file name in the collector's log
    signal       VARCHAR NOT NULL,  -- traces, logs, metrics
    accepted     BIGINT NOT NULL,   -- items in its requests, rejected ones included
    stored       BIGINT NOT NULL,
    deduplicated BIGINT NOT NULL,   -- the store had them already: a sender's retry
    rejected     BIGINT NOT NULL,   -- their senders were told
    PRIMARY KEY (segment, signal)
);
INSERT INTO log_accounts
SELECT segment, 'traces', stored_spans + duplicate_spans + rejected_spans, stored_spans,
       duplicate_spans, rejected_spans
FROM log_progress;
CREATE TABLE log_positions AS
SELECT segment, offset_bytes, requests, damaged_bytes, finished FROM log_progress;
DROP TABLE log_progress;
CREATE TABLE log_progress (
    segment       VARCHAR PRIMARY KEY,  -- file name in the collector's log
    offset_bytes  BIGINT NOT NULL,      -- loaded up to here
    requests      BIGINT NOT NULL,
    damaged_bytes BIGINT NOT NULL,      -- failed their checksum, or were never acknowledged
    finished      BOOLEAN NOT NULL      -- nothing is written to the segment any more
);
INSERT INTO log_progress SELECT * FROM log_positions;
DROP TABLE log_positions;
CREATE TABLE gauges (
    metric     VARCHAR NOT NULL,   -- an engine's own gauge or counter, as it names it
    time_ns    BIGINT NOT NULL,
    series     UBIGINT NOT NULL,   -- hash of resource and attributes
    value      DOUBLE NOT NULL,
    attributes VARCHAR NOT NULL,   -- JSON, the resource's among them
    PRIMARY KEY (metric, time_ns, series)
);
"""

_M006 = """
ALTER TABLE spans ADD COLUMN response_id VARCHAR;
ALTER TABLE llm_calls ADD COLUMN user_id VARCHAR;
ALTER TABLE llm_calls ADD COLUMN response_id VARCHAR;
ALTER TABLE llm_calls ADD COLUMN fidelity VARCHAR;
ALTER TABLE llm_calls ADD COLUMN dropped_attributes BIGINT DEFAULT 0;
ALTER TABLE llm_calls ADD COLUMN truncated BOOLEAN DEFAULT FALSE;
ALTER TABLE llm_calls ADD COLUMN described_by VARCHAR DEFAULT '[]';
"""

_M008 = """
CREATE TABLE tokenizers (
    model      VARCHAR PRIMARY KEY,  -- as its calls name it
    name       VARCHAR NOT NULL,     -- of the file it was read from
    definition BLOB NOT NULL         -- that file: a tokenizer.json, zstd
);
"""

_M009 = """
CREATE TABLE call_identities (
    identity VARCHAR PRIMARY KEY,  -- the key; with start and call behind it where others have it
    key      VARCHAR NOT NULL,     -- answer:ID, request:ID, place:SESSION:CONTENT:NUMBER
    call_id  VARCHAR NOT NULL
);
CREATE TABLE joined_traces (
    trace_id VARCHAR NOT NULL,
    with_id  VARCHAR NOT NULL,     -- a trace with spans that describe the same calls
    PRIMARY KEY (trace_id, with_id)
);
CREATE TABLE imported_files (
    path      VARCHAR PRIMARY KEY,
    bytes     BIGINT NOT NULL,
    mtime_ns  BIGINT NOT NULL,
    source_id VARCHAR NOT NULL     -- hash of its bytes, and of those of files beside it
);
"""

_M010 = """
ALTER TABLE llm_calls ADD COLUMN version VARCHAR;
ALTER TABLE llm_calls ADD COLUMN customer VARCHAR;
ALTER TABLE llm_calls ADD COLUMN tags VARCHAR[];
ALTER TABLE llm_calls ADD COLUMN metadata VARCHAR;
CREATE TABLE outcomes (
    session_id  VARCHAR PRIMARY KEY,
    outcome     VARCHAR NOT NULL,  -- as the program said it, e.g. resolved
    revenue_usd DOUBLE,
    customer    VARCHAR,
    said_ns     BIGINT
);
"""

_M011 = """
ALTER TABLE llm_calls ADD COLUMN billing VARCHAR DEFAULT '{}';
CREATE TABLE side_calls (
    side_call_id      VARCHAR PRIMARY KEY,
    source_id         VARCHAR NOT NULL,
    session_id        VARCHAR NOT NULL,
    agent_id          VARCHAR NOT NULL,
    kind              VARCHAR NOT NULL,  -- embedding, rerank
    provider          VARCHAR,
    model             VARCHAR,
    started_ns        BIGINT,
    duration_ns       BIGINT,
    input_tokens      BIGINT NOT NULL,   -- 0 where the source says nothing
    reported_cost_usd DOUBLE,
    error             VARCHAR,
    trace_id          VARCHAR,
    span_id           VARCHAR,
    usd               DECIMAL(24, 12),   -- NULL: no price known
    price_source      VARCHAR,           -- NULL: not priced yet
    price_ref         VARCHAR            -- provider/model as the price list names them
);
"""

_M012 = """
CREATE TABLE turns (
    call_id     VARCHAR PRIMARY KEY,  -- a call received live
    own_session VARCHAR NOT NULL,     -- its session by its own trace alone
    named       BOOLEAN NOT NULL,     -- whether an attribute names that session
    session_id  VARCHAR NOT NULL,     -- its session among all conversations
    service     VARCHAR NOT NULL,     -- the program: a conversation does not leave it
    started_ns  BIGINT NOT NULL,
    ended_ns    BIGINT NOT NULL,
    chain       UBIGINT,              -- hash of the messages that were sent
    system      UBIGINT NOT NULL,     -- hash of the system prompt
    marks       UBIGINT[] NOT NULL,   -- hashes of what the answer said and asked for
    asked       VARCHAR NOT NULL,     -- JSON: name and id of each tool that it asked for
    before      UBIGINT,              -- hash of the messages before the prompt's last answer
    answered    UBIGINT[] NOT NULL,   -- marks of that answer
    results     VARCHAR NOT NULL,     -- JSON: ids of the tools whose results follow it
    after_call  VARCHAR               -- the call that it goes on from
);
ALTER TABLE tool_calls ADD COLUMN derived BOOLEAN DEFAULT FALSE;
"""

_M013 = """
ALTER TABLE tool_calls ADD COLUMN arguments VARCHAR;  -- what it was called with; NULL: unknown
ALTER TABLE tool_calls ADD COLUMN result VARCHAR;     -- what it gave back; NULL: unknown
"""


_M015 = """
CREATE TABLE cells (
    cell_id             UBIGINT NOT NULL,  -- hash of the columns from hour to tags
    hour                BIGINT,            -- of the start, counted from 1970; NULL: no time known
    source              VARCHAR NOT NULL,  -- the data set
    session_id          VARCHAR NOT NULL,
    agent               VARCHAR,           -- the role
    provider            VARCHAR,
    model               VARCHAR,
    user_id             VARCHAR,
    customer            VARCHAR,
    version             VARCHAR,
    tags                VARCHAR[],
    calls               BIGINT NOT NULL,   -- LLM calls; from here on sums over them
    analysed_calls      BIGINT NOT NULL,
    input_tokens        BIGINT,            -- NULL: side calls only
    uncached_tokens     BIGINT,
    cache_read_tokens   BIGINT,
    cache_write_tokens  BIGINT,
    output_tokens       BIGINT,
    reasoning_tokens    BIGINT,
    reusable_tokens     BIGINT,
    avoidable_tokens    BIGINT,
    priced_calls        BIGINT NOT NULL,
    prefill_usd         DECIMAL(38, 12),
    cached_usd          DECIMAL(38, 12),
    decode_usd          DECIMAL(38, 12),
    call_other_usd      DECIMAL(38, 12),
    avoidable_usd       DECIMAL(38, 12),
    timed_calls         BIGINT NOT NULL,   -- whose wait is split; sums of time are over these
    prefill_ns          BIGINT,
    cached_ns           BIGINT,
    prefill_low_ns      BIGINT,
    prefill_high_ns     BIGINT,
    decode_ns           BIGINT,
    other_ns            BIGINT,
    estimated_calls     BIGINT NOT NULL,
    cache_unknown_calls BIGINT NOT NULL,
    ambiguous_calls     BIGINT NOT NULL,
    side_calls          BIGINT NOT NULL,   -- embeddings and rerankings, not among the calls
    unpriced_side_calls BIGINT NOT NULL,
    side_usd            DECIMAL(38, 12),
    first_ordinal       BIGINT,
    first_ns            BIGINT,
    last_ns             BIGINT,            -- the last end
    first_step          INTEGER,
    is_sub_agent        BOOLEAN
);
CREATE TABLE session_times (
    session_id    VARCHAR NOT NULL,
    started_ns    BIGINT,
    ended_ns      BIGINT,
    first_ordinal BIGINT
);
CREATE TABLE stale_sessions (
    session_id VARCHAR NOT NULL  -- cells and times are to be made again
);
INSERT INTO stale_sessions SELECT DISTINCT session_id FROM llm_calls;
INSERT INTO stale_sessions SELECT DISTINCT session_id FROM side_calls;
"""


def m001_first_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the first tables."""
    run(connection, _M001)


def m002_add_log_progress(connection: duckdb.DuckDBPyConnection) -> None:
    """Add how far the collector's log is loaded."""
    run(connection, _M002)


def m003_add_cache_reported(connection: duckdb.DuckDBPyConnection) -> None:
    """Add whether a call's source says what a cache served."""
    run(connection, _M003)


def m004_add_cached_usd(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the part of a call's prefill price that cache reads cost."""
    run(connection, _M004)


def m005_add_accounts_of_every_signal(connection: duckdb.DuckDBPyConnection) -> None:
    """Account for logs and metrics as for spans; keep the gauges of engines."""
    run(connection, _M005)


def m006_add_descriptions(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep which spans describe a call, how exact its prompt is, and what was lost of it."""
    run(connection, _M006)


def m007_choose_compression(connection: duckdb.DuckDBPyConnection) -> None:
    """Say how texts are compressed, instead of having that found out at every checkpoint."""
    compression.choose(connection, COMPRESSED)


def m008_add_tokenizers(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep the tokenizers of served models, to count prompts as they do."""
    run(connection, _M008)


def m009_add_call_identities(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep by what a call is known, whatever door it comes through; merge what stands twice."""
    run(connection, _M009)
    doubles.mend(connection)


def m010_add_labels(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep what people say of calls (version, customer, tags), and how sessions ended."""
    run(connection, _M010)


def m011_add_billing_and_side_calls(connection: duckdb.DuckDBPyConnection) -> None:
    """Add what decides a call's price beside its tokens; keep embeddings and rerankings."""
    run(connection, _M011)


def m012_add_turns(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep how calls follow each other in conversations, and the tool runs that this shows."""
    run(connection, _M012)


def m013_add_tool_text(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep what tools were given and what they gave back."""
    run(connection, _M013)


def m015_add_cells(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep sums of the calls, and which sessions have them to be made again: now all."""
    run(connection, _M015)


COMPRESSED: dict[str, compression.Methods] = {
    "segments": {"digest": "uncompressed", "content": "uncompressed"},
    "spans": {"attributes": "zstd"},
    "llm_calls": {"described_by": "zstd"},
}

STATEMENTS = (
    *(_M001, _M002, _M003, _M004, _M005, _M006, _M008, _M009, _M010, _M011, _M012, _M013, _M015),
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
    m015_add_cells,
)
"""in order; the schema's version is how many of them have run"""
