"""OTLP: its wire formats, and the receiver."""
