"""What a run records of its arms and calls."""
