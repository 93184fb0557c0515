"""Stands in for aster-connector-python, which is on no package index: see `rest_api.py`."""
