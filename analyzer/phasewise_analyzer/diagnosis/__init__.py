"""Why one prompt stopped matching another: the place, the cause, the differing texts."""
