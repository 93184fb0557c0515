"""Every call of a position's life, struck by every fault."""
