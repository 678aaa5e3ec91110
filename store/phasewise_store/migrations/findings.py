"""What the analyzer finds of calls: where their input went, where their prompts broke."""

FINDINGS = """
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
    reasons STRUCT(reason VARCHAR, tokens BIGINT, usd DECIMAL(24, 12))[] NOT NULL -- in prompt order
);
CREATE TABLE breaks (
    call_id         VARCHAR PRIMARY KEY,
    ordinal         BIGINT NOT NULL,
    cell_id         UBIGINT NOT NULL,    -- as in call_findings
    source          VARCHAR NOT NULL,    -- the data set
    session_id      VARCHAR NOT NULL,
    agent           VARCHAR,             -- the role
    model           VARCHAR,
    step            INTEGER NOT NULL,
    after_call_id   VARCHAR NOT NULL,    -- the call that it was compared with
    gap_s           DOUBLE,              -- from that call's start to its own
    cause           VARCHAR NOT NULL,
    wasteful        BOOLEAN NOT NULL,    -- whether what is lost is no use to anybody
    tier            VARCHAR NOT NULL,    -- tools, system, messages
    place           VARCHAR NOT NULL,    -- where in the prompt
    template        VARCHAR NOT NULL,    -- the same for all breaks that one line of code makes
    before          VARCHAR NOT NULL,    -- the differing text as it was sent before, cut short
    after           VARCHAR NOT NULL,
    expected_tokens BIGINT NOT NULL,     -- that the call could have shared
    shared_tokens   BIGINT NOT NULL,     -- that an earlier call of the model had sent
    read_tokens     BIGINT,              -- from the cache; NULL: the source does not report it
    lost_tokens     BIGINT NOT NULL,     -- paid again at the full price, or written again
    lost_usd        DECIMAL(24, 12),     -- what they cost more than a read; NULL: no price known
    provider_says   VARCHAR              -- the provider's own reason for the miss
);
CREATE TABLE analysed_sources (
    source      VARCHAR PRIMARY KEY,     -- the data set
    version     VARCHAR NOT NULL,        -- of price list, cache policies and analysis
    analysed_at TIMESTAMP NOT NULL
);
"""

REANALYSES = """
CREATE TABLE reanalyses (
    source     VARCHAR NOT NULL,  -- a data set that another version analysed
    version    VARCHAR NOT NULL,  -- by which it is analysed again
    calls      BIGINT NOT NULL,
    done_calls BIGINT NOT NULL    -- all: its rows are replaced
);
"""
