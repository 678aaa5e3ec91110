"""Importers of other tools' trace files: one module per format, detected by content."""
