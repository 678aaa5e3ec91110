"""Everything that brings traces in: the OTLP receiver, the dialects, and the file importers."""
