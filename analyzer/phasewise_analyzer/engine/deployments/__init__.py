"""A deployment: model, GPUs, flags and limits of one engine."""
