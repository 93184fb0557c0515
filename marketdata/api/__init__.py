"""The API of marketdata: one module a resource; the addresses stand in `urls.py`."""
