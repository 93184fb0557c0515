"""What the tests of quirks share."""

from marketdata.tests.conftest import _nothing_remembered

__all__ = ["_nothing_remembered"]
