"""Importers: other tools' trace files become facts; one module a format, found by content."""
