"""What engines wrote in replays that compare answers."""

MEASURED_OUTPUTS = """
ALTER TABLE measured_calls ADD COLUMN output VARCHAR;  -- JSON: text and tool calls, in quality mode
"""
