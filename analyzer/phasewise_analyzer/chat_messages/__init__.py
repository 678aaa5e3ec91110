"""Convert a recorded prompt to the messages and tools of an engine's chat endpoint."""
