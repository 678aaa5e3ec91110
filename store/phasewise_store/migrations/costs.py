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
