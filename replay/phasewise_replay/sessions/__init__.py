"""Sessions to replay, from the store."""
