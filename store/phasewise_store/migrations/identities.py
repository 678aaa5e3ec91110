"""By what a call is known, and how calls follow each other in conversations."""

CALL_IDENTITIES = """
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

TURNS = """
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
