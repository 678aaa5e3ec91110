"""The client: OpenAI requests out, timed streams in."""
