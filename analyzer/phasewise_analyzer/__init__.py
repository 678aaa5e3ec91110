"""Findings from facts: the cost of the two phases, and the prefixes that repeat."""
