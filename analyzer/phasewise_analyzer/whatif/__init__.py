"""What the same traffic would use and cost under other rules, or with repaired prompts."""
