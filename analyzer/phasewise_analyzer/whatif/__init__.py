"""What the same calls would use and cost under other rules, or with repaired prompts."""
