"""Who calls, and what they may do: authentication, permissions, and what every address of the API is made of."""
