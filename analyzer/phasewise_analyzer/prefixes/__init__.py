"""What prompts share: the tree of prefixes, what of it repeats, what caches of it would hold."""
