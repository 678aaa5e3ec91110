"""The tables of the first version."""

FIRST_TABLES = """
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
