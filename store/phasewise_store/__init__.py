"""The database: facts, the prompt trie, one DuckDB file behind `Store`."""
