"""Small inputs after faults that users reported of other tools, with their right values."""
