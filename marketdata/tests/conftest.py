"""What the tests of the stored market share."""

import pytest

from marketdata import database_market
from marketdata.services import feeds, snapshots
from marketdata.stored import SeriesStore


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    """Give each test a process that has read nothing yet."""
    monkeypatch.setattr(database_market, "STORE", SeriesStore())
    monkeypatch.setattr(snapshots, "STORED", snapshots.Remembered())
    feeds._source.cache_clear()
