"""The prefix caches of engines, exact: vLLM's blocks and SGLang's radix tree."""
