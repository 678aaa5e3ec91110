"""OTLP: what it looks like on the wire, and the receiver that answers senders."""
