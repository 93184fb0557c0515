"""What every test of accounts begins with."""

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    """Forget attempts and calls that tests before have made from the same address."""
    cache.clear()
