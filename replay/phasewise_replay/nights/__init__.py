"""Nightly runs, their file and their record."""
