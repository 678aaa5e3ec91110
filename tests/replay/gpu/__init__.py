"""The GPU kit: pack, run under a budget, import."""
