"""Verdicts: whether a run was faithful, and what it says of its arms."""
