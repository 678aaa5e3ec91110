"""Tests of what is kept of each call."""
