"""The meaning of spans: the names of every convention are data, read by one derivation."""
