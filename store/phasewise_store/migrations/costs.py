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
DELETE FROM breaks;
DROP TABLE call_findings;
CREATE TABLE call_findings (
    call_id         VARCHAR PRIMARY KEY,
    ordinal         BIGINT NOT NULL,
    cell_id         UBIGINT NOT NULL,    -- hash of hour, data set, session, agent, model and labels
    session_id      VARCHAR NOT NULL,
    prompt_tokens   BIGINT,              -- as reported, else estimated; NULL: no prompt known
    sent_before     BIGINT NOT NULL,     -- of it, what an earlier call of the model had sent
    previous_shared BIGINT NOT NULL,     -- of it, what the previous call of the agent had sent
    policy          VARCHAR,             -- the provider's rule of that day; NULL: none known
    predicted_read  BIGINT,              -- what the rule says was read from the cache
    reported_read   BIGINT,              -- NULL: the source does not report it
    granularity     INTEGER NOT NULL,    -- tokens by which a prediction may be off
    first_of_stream BOOLEAN NOT NULL,    -- whether it is its agent's first call
    is_deep         BOOLEAN NOT NULL,    -- whether it shares less than half with the previous call
    provider_says   VARCHAR,             -- the provider's own reason for a miss
    agrees          BOOLEAN,             -- whether we say the same; NULL: it says nothing
    reasons STRUCT(reason VARCHAR, tokens BIGINT, usd DECIMAL(24, 12), extra_usd DECIMAL(24, 12))[]
        NOT NULL  -- in prompt order; usd: charged, extra_usd: of it, above a cache read
);
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
