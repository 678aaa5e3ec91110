"""Findings from facts: the two phases, their price, the prefixes that repeat."""
