"""The durable log: what the acceptor has acknowledged, until the loader has stored its facts."""
