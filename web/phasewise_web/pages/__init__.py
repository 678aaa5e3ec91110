"""One module per page: a dataclass with its data, made from the store; templates only render it."""
