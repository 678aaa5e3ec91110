"""Break the collector under load, and hold it to its promises: `make chaos`."""
