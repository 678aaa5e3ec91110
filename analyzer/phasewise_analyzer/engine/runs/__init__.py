"""A run of the engine model: requests, routers and replicas through time."""
