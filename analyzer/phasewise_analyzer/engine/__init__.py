"""The engine model: shapes, hardware, step times, caches and scheduling of an inference engine."""
