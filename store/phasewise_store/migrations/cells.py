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
    wasted_tokens       BIGINT,            -- lost in wasteful breaks
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
    prompt_calls        BIGINT NOT NULL,   -- with a known prompt
    deep_calls          BIGINT NOT NULL,   -- that share less than half with the previous call
    judged_calls        BIGINT NOT NULL,   -- with a rule and a reported cache
    exact_calls         BIGINT NOT NULL,   -- of them, those that read what the rule says
    diagnosed_calls     BIGINT NOT NULL,   -- of which the provider says why its cache missed
    agreed_calls        BIGINT NOT NULL,   -- of them, those of which we say the same
    first_ordinal       BIGINT,
    last_ordinal        BIGINT,
    first_ns            BIGINT,
    last_ns             BIGINT,            -- the last end
    first_prompt_ns     BIGINT,
    last_prompt_ns      BIGINT,
    first_step          INTEGER,
    is_sub_agent        BOOLEAN
);
CREATE TABLE cell_reasons (
    cell_id     UBIGINT NOT NULL,
    session_id  VARCHAR NOT NULL,
    reason      VARCHAR NOT NULL,  -- of the ledger
    calls       BIGINT NOT NULL,
    tokens      BIGINT NOT NULL,
    usd         DECIMAL(38, 12),
    extra_usd   DECIMAL(38, 12),   -- of it, above a cache read
    most_tokens BIGINT NOT NULL,   -- of one call
    most_usd    DECIMAL(24, 12)
);
CREATE TABLE drifts (
    source   VARCHAR NOT NULL,  -- the data set
    provider VARCHAR,
    model    VARCHAR,
    judged   BIGINT NOT NULL,   -- calls with a rule and a reported cache, as it was looked for
    calls    BIGINT NOT NULL,   -- of them, those whose rule promises a read
    call_id  VARCHAR,           -- from which on another share is read; NULL: no change was found
    at_ns    BIGINT,
    before   DOUBLE,            -- share of the promised tokens that was read
    after    DOUBLE,
    p_value  DOUBLE
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
