"""The prefix flame graph: where prompts share and where they part."""
