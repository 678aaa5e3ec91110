"""Measures the step times of a running server with designed probes."""
