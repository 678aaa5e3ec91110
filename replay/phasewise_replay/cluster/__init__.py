"""A replay on many GPUs at once: shards of its sessions, each on engines of its own."""
