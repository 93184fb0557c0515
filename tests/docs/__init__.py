"""What the pages of the documentation promise: their commands run, the names in them exist."""
