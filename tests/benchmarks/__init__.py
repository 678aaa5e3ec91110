"""Tests of what benchmarks and their kits compute."""
