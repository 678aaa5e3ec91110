"""What was added to what calls cost."""

CACHED_USD = """
ALTER TABLE call_costs ADD COLUMN cached_usd DECIMAL(24, 12);
"""

BILLING_AND_SIDE_CALLS = """
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

STATES_OF_INPUT = """
DROP TABLE call_costs;
CREATE TABLE call_costs (
    call_id               VARCHAR PRIMARY KEY,
    prefill_usd           DECIMAL(24, 12),  -- NULL: no price known
    prefill_low_usd       DECIMAL(24, 12),  -- had all been read that was sent before
    prefill_high_usd      DECIMAL(24, 12),  -- had nothing been read; both are the bill if reported
    cached_usd            DECIMAL(24, 12),  -- of prefill_usd: what reported cache reads cost
    unreported_usd        DECIMAL(24, 12),  -- of prefill_usd: what unreported_tokens cost
    missed_usd            DECIMAL(24, 12),  -- what missed_tokens cost above a cache read
    decode_usd            DECIMAL(24, 12),
    other_usd             DECIMAL(24, 12),
    price_source          VARCHAR,          -- package and version, terms; or 'reported'
    price_ref             VARCHAR,          -- provider/model as the price list names it
    rates                 VARCHAR,          -- JSON: USD per million tokens, by kind
    sent_before_tokens    BIGINT NOT NULL,  -- longest prefix an earlier call had sent the model
    missed_tokens         BIGINT NOT NULL,  -- sent before, and by report not read from a cache
    unreported_tokens     BIGINT NOT NULL,  -- sent before; the source reports no cache
    billed_read_tokens    BIGINT NOT NULL,  -- cache reads in the bill: reported, else by the rule
    billed_write_5m_tokens BIGINT NOT NULL,
    billed_write_1h_tokens BIGINT NOT NULL,
    prefill_ns            BIGINT,           -- computing the input that was not cached
    prefill_low_ns        BIGINT,
    prefill_high_ns       BIGINT,
    saved_ns              BIGINT,           -- estimate: prefill that cached tokens saved
    decode_ns             BIGINT,
    other_ns              BIGINT,           -- queue and network
    latency_basis         VARCHAR NOT NULL  -- engine, measured, estimated, unknown
);
"""
