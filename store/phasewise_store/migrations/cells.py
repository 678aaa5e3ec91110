"""Sums of calls, which pages add up, and which sessions have them to be made again."""

CELLS = """
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
    sent_before_tokens  BIGINT,
    missed_tokens       BIGINT,
    unreported_tokens   BIGINT,
    wasted_tokens       BIGINT,
    priced_calls        BIGINT NOT NULL,
    prefill_usd         DECIMAL(38, 12),
    prefill_low_usd     DECIMAL(38, 12),
    prefill_high_usd    DECIMAL(38, 12),
    cached_usd          DECIMAL(38, 12),
    unreported_usd      DECIMAL(38, 12),
    missed_usd          DECIMAL(38, 12),
    wasted_usd          DECIMAL(38, 12),
    decode_usd          DECIMAL(38, 12),
    call_other_usd      DECIMAL(38, 12),
    timed_calls         BIGINT NOT NULL,   -- whose wait is split; sums of time are over these
    prefill_ns          BIGINT,
    saved_ns            BIGINT,            -- estimate
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
