"""What was added to what is known of a call and of its tools."""

CACHE_REPORTED = """
ALTER TABLE llm_calls ADD COLUMN cache_reported BOOLEAN DEFAULT TRUE;
"""

DESCRIPTIONS = """
ALTER TABLE spans ADD COLUMN response_id VARCHAR;
ALTER TABLE llm_calls ADD COLUMN user_id VARCHAR;
ALTER TABLE llm_calls ADD COLUMN response_id VARCHAR;
ALTER TABLE llm_calls ADD COLUMN fidelity VARCHAR;
ALTER TABLE llm_calls ADD COLUMN dropped_attributes BIGINT DEFAULT 0;
ALTER TABLE llm_calls ADD COLUMN truncated BOOLEAN DEFAULT FALSE;
ALTER TABLE llm_calls ADD COLUMN described_by VARCHAR DEFAULT '[]';
"""

TOKENIZERS = """
CREATE TABLE tokenizers (
    model      VARCHAR PRIMARY KEY,  -- as its calls name it
    name       VARCHAR NOT NULL,     -- of the file it was read from
    definition BLOB NOT NULL         -- that file: a tokenizer.json, zstd
);
"""

LABELS = """
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

TOOL_TEXT = """
ALTER TABLE tool_calls ADD COLUMN arguments VARCHAR;  -- what it was called with; NULL: unknown
ALTER TABLE tool_calls ADD COLUMN result VARCHAR;     -- what it gave back; NULL: unknown
"""
