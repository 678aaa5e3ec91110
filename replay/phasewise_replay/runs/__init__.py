"""A run: arms, blocks and calls in their order."""
