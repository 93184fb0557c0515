"""One server over demo data and one Chromium for all browser tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conftest import missing
from tests.support import browser as support


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the first test wait for the server as long as the server may take."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Served]:
    served = support.Served(tmp_path_factory.mktemp("served"))
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start the browser, for one module only: its driver keeps an event loop running, and others want one of their own."""
    if support.chromium() is None:
        missing("Chromium")
    from playwright.sync_api import expect

    expect.set_options(timeout=20_000)  # a busy machine is no fault of the page; what has to be quick says how quick
    with support.browser() as started:
        yield started


@pytest.fixture
def complaints() -> list[str]:
    """Collects what the browser complains of; a test that expects complaints clears it."""
    return []


@pytest.fixture
def page(chromium: Any, served: support.Served, complaints: list[str]) -> Iterator[Any]:
    """Return a page of the signed-in operator. Fails the test for any error in the console or breach of the policy."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="dark")
    page = context.new_page()
    support.complaints_of(page, complaints)
    support.sign_in(page, served.url)
    yield page
    context.close()
    assert complaints == []
