"""Shapes: what a model's config says of its parameters, FLOPs and bytes."""
