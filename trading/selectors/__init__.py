"""What the faces read: market, standing, books, curve and trace. Nothing here writes."""
