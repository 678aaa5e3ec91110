"""One module a page: a dataclass with what it shows, made from the store; templates only draw."""
