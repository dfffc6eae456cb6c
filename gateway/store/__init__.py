"""What the gateway remembers of its own: keys, replies to repeated calls, whose object is whose."""
