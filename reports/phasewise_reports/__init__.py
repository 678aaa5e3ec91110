"""Findings as one self-contained file: HTML, Markdown or JSON."""
