"""Why one prompt stopped matching another: the place, the cause, the texts that differ."""
