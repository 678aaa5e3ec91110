"""Engines: servers that a run starts or is given, and the simulation."""
