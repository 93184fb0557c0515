"""Clients that others wrote, in environments of their own: what they say of a server has to be what ours says."""
