"""Speculative decoding without a draft model: what captured calls would have drafted."""
