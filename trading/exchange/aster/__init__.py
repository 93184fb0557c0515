"""AsterDEX behind the Exchange port: real orders, for both generations of its API."""
