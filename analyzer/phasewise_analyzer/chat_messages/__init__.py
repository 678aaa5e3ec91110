"""A recorded prompt as the messages and tools that an engine's chat endpoint takes."""
