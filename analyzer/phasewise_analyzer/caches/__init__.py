"""Prompt caches as providers and engines keep them: families of code, run by dated records."""
