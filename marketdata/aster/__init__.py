"""AsterDEX: its REST calls, its stream, and how what they say is read."""
