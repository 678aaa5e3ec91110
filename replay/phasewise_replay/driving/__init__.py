"""When each call of a session is sent."""
