"""Plans: what a replay is to run."""
