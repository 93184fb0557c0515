"""The API of trading: one module a resource; the addresses stand in `urls.py`."""
