"""What was added for prefix reuse, and for answers that take long to make."""

REUSE_AND_KEPT_ANSWERS = """
CREATE TABLE call_reuse (
    ordinal         BIGINT NOT NULL,   -- of the call
    leaf_node       UBIGINT NOT NULL,  -- the prompt that the row was made of
    input_tokens    BIGINT NOT NULL,
    block_tokens    INTEGER NOT NULL,  -- 0: the prompt is text
    prompt_tokens   BIGINT NOT NULL,   -- 0: no prompt known
    prompt_blocks   DOUBLE NOT NULL,
    timed_tokens    BIGINT NOT NULL,   -- prompt_tokens where the start is known, else 0
    any_tokens      BIGINT NOT NULL,   -- of the prompt, what any earlier call had sent
    any_blocks      BIGINT NOT NULL,
    any_share       BIGINT NOT NULL,   -- any_tokens / prompt_tokens, in units of 1e-9
    previous_tokens BIGINT NOT NULL,   -- what the previous call of the agent had sent
    previous_blocks BIGINT NOT NULL,
    previous_share  BIGINT NOT NULL,
    session_tokens  BIGINT NOT NULL,   -- what earlier calls of the same session had sent
    session_blocks  BIGINT NOT NULL,
    session_share   BIGINT NOT NULL,
    agent_tokens    BIGINT NOT NULL,   -- of the same role
    agent_blocks    BIGINT NOT NULL,
    agent_share     BIGINT NOT NULL,
    model_tokens    BIGINT NOT NULL,   -- of the same model
    model_blocks    BIGINT NOT NULL,
    model_share     BIGINT NOT NULL,
    file_tokens     BIGINT NOT NULL,   -- of the same file
    file_blocks     BIGINT NOT NULL,
    file_share      BIGINT NOT NULL,
    lru STRUCT(step BIGINT, blocks BIGINT, tokens BIGINT)[] NOT NULL,  -- each larger cache
    ttl STRUCT(step BIGINT, blocks BIGINT, tokens BIGINT)[] NOT NULL   -- each longer lifetime
);
CREATE TABLE reuse_cells (
    source          VARCHAR NOT NULL,  -- the data set
    source_id       VARCHAR NOT NULL,  -- the file
    session_id      VARCHAR NOT NULL,
    agent           VARCHAR,           -- the role
    model           VARCHAR,
    user_id         VARCHAR,
    customer        VARCHAR,
    version         VARCHAR,
    tags            VARCHAR[],
    first_ordinal   BIGINT NOT NULL,   -- of the calls that these have in common
    calls           BIGINT NOT NULL,   -- with a row in call_reuse; sums over them
    prompt_calls    BIGINT NOT NULL,   -- with a known prompt
    timed_calls     BIGINT NOT NULL,   -- with a known start
    block_tokens    BIGINT NOT NULL,   -- the most
    input_tokens    BIGINT NOT NULL,
    output_tokens   BIGINT NOT NULL,
    prompt_tokens   BIGINT NOT NULL,
    prompt_blocks   DOUBLE NOT NULL,
    timed_tokens    BIGINT NOT NULL,
    any_tokens      BIGINT NOT NULL,
    any_blocks      BIGINT NOT NULL,
    any_share       BIGINT NOT NULL,
    previous_tokens BIGINT NOT NULL,
    previous_blocks BIGINT NOT NULL,
    previous_share  BIGINT NOT NULL,
    session_tokens  BIGINT NOT NULL,
    session_blocks  BIGINT NOT NULL,
    session_share   BIGINT NOT NULL,
    agent_tokens    BIGINT NOT NULL,
    agent_blocks    BIGINT NOT NULL,
    agent_share     BIGINT NOT NULL,
    model_tokens    BIGINT NOT NULL,
    model_blocks    BIGINT NOT NULL,
    model_share     BIGINT NOT NULL,
    file_tokens     BIGINT NOT NULL,
    file_blocks     BIGINT NOT NULL,
    file_share      BIGINT NOT NULL,
    lru STRUCT(step BIGINT, blocks BIGINT, tokens BIGINT)[],
    ttl STRUCT(step BIGINT, blocks BIGINT, tokens BIGINT)[]
);
CREATE TABLE stale_reuse_sessions (
    session_id VARCHAR NOT NULL  -- reuse_cells are to be made again
);
CREATE TABLE kept_answers (
    question VARCHAR NOT NULL,    -- flame, structure
    scope    VARCHAR NOT NULL,    -- JSON: the filters
    calls    BIGINT NOT NULL,     -- in scope when it was made
    facts    VARCHAR NOT NULL,    -- sums over them: others mean that it is out of date
    made_at  TIMESTAMP NOT NULL,  -- UTC
    took_s   DOUBLE NOT NULL,     -- to make it
    answer   BLOB NOT NULL        -- zstd
);
"""
