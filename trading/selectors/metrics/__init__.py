"""What metrics tell of money and orders: rows that are new (`grown`), and how things stand (`standing`)."""
