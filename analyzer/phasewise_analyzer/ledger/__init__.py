"""Where every dollar of the input bill went, by the rules of the cache that each call met."""
