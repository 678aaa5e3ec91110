"""Where prompts stop matching what was sent before: the place, the cause, the price."""
