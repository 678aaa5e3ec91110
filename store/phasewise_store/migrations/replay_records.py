"""How the sessions of a replay were chosen, and what its calls waited for and could have hit."""

REPLAY_RECORDS = """
ALTER TABLE runs ADD COLUMN selection VARCHAR;  -- JSON: how its sessions were chosen
ALTER TABLE measured_calls ADD COLUMN warm BOOLEAN DEFAULT FALSE;  -- fills the cache; not measured
ALTER TABLE measured_calls ADD COLUMN waited_for VARCHAR;  -- call whose answer it followed
ALTER TABLE measured_calls ADD COLUMN reachable_tokens BIGINT;  -- cached ones of an endless cache
ALTER TABLE measured_calls ADD COLUMN preemptions INTEGER;
"""
