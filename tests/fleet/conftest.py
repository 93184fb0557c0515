"""A fleet for the tests of one module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.fleet import Fleet, fleet


@pytest.fixture(scope="module")
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str
) -> Iterator[Fleet]:
    """Yield an installation of which nothing runs yet."""
    name = request.module.__name__.rpartition(".")[2]
    with fleet(tmp_path_factory.mktemp(name), postgres_url, redis_url, f"vibex_fleet_{name}") as made:
        yield made
