"""How far the collector's log is loaded, and the gauges of engines."""

LOG_PROGRESS = """
CREATE TABLE log_progress (
    segment         VARCHAR PRIMARY KEY,  -- file name in the collector's log
    offset_bytes    BIGINT NOT NULL,      -- loaded up to here
    requests        BIGINT NOT NULL,
    stored_spans    BIGINT NOT NULL,
    duplicate_spans BIGINT NOT NULL,      -- the store had (trace_id, span_id) already
    rejected_spans  BIGINT NOT NULL,      -- without valid ids; their senders were told
    damaged_bytes   BIGINT NOT NULL,      -- failed their checksum, or were never acknowledged
    finished        BOOLEAN NOT NULL      -- nothing is written to the segment any more
);
"""

ACCOUNTS_OF_EVERY_SIGNAL = """
CREATE TABLE log_accounts (
    segment      VARCHAR NOT NULL,  -- file name in the collector's log
    signal       VARCHAR NOT NULL,  -- traces, logs, metrics
    accepted     BIGINT NOT NULL,   -- items in its requests, rejected ones included
    stored       BIGINT NOT NULL,
    deduplicated BIGINT NOT NULL,   -- the store had them already: a sender's retry
    rejected     BIGINT NOT NULL,   -- their senders were told
    PRIMARY KEY (segment, signal)
);
INSERT INTO log_accounts
SELECT segment, 'traces', stored_spans + duplicate_spans + rejected_spans, stored_spans,
       duplicate_spans, rejected_spans
FROM log_progress;
CREATE TABLE log_positions AS
SELECT segment, offset_bytes, requests, damaged_bytes, finished FROM log_progress;
DROP TABLE log_progress;
CREATE TABLE log_progress (
    segment       VARCHAR PRIMARY KEY,  -- file name in the collector's log
    offset_bytes  BIGINT NOT NULL,      -- loaded up to here
    requests      BIGINT NOT NULL,
    damaged_bytes BIGINT NOT NULL,      -- failed their checksum, or were never acknowledged
    finished      BOOLEAN NOT NULL      -- nothing is written to the segment any more
);
INSERT INTO log_progress SELECT * FROM log_positions;
DROP TABLE log_positions;
CREATE TABLE gauges (
    metric     VARCHAR NOT NULL,   -- an engine's own gauge or counter, as it names it
    time_ns    BIGINT NOT NULL,
    series     UBIGINT NOT NULL,   -- hash of resource and attributes
    value      DOUBLE NOT NULL,
    attributes VARCHAR NOT NULL,   -- JSON, the resource's among them
    PRIMARY KEY (metric, time_ns, series)
);
"""
