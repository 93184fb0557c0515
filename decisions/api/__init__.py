"""The API of decisions: one module a resource; the addresses stand in `urls.py`."""
