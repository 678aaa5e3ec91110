"""Results of nights that stay when the night's calls have been removed."""

NIGHTS = """
CREATE TABLE nights (
    run_id VARCHAR PRIMARY KEY,
    name VARCHAR NOT NULL,
    started_ns BIGINT NOT NULL,
    status VARCHAR NOT NULL  -- passed, regressed, void
);

CREATE TABLE gated_measures (
    run_id VARCHAR NOT NULL,
    arm VARCHAR NOT NULL,
    measure VARCHAR NOT NULL,
    value DOUBLE,             -- mean over the night's sessions; NULL where it is not reported
    allowed_percent DOUBLE NOT NULL,
    change_percent DOUBLE,    -- since the last valid night; NULL on the first
    low_percent DOUBLE,       -- 95 % interval of the change
    high_percent DOUBLE,
    regressed BOOLEAN NOT NULL,
    PRIMARY KEY (run_id, arm, measure)
);
"""
