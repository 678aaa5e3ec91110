"""Where prompts stop matching earlier ones: the place, the cause, the cost."""
