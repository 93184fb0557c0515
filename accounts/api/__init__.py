"""The API of accounts: one module a resource; the addresses stand in `urls.py`."""
