"""The schedulers of vLLM and SGLang, step by step."""
