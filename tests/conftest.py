"""What tests that cross apps share."""

from pathlib import Path

import pytest

from tests.oracles.environments import with_extra


@pytest.fixture(scope="session")
def python_with_ccxt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an installation with the extra ccxt, made for these tests."""
    return with_extra("ccxt", tmp_path_factory.mktemp("extra"))
