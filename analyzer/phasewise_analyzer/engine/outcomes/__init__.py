"""What a simulated run says: summaries, goodput, sweeps, the fit to measured loads."""
