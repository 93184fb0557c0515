"""What a page tells a person to type works: it is typed in a fresh copy of the project, page by page, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.commands import WITH_SERVERS, commands_of
from tests.docs.place import Place, servers, traded_folder
from tests.docs.told import PAGES, named
from vibex.lib.env import ROOT

pytestmark = [pytest.mark.ci, pytest.mark.timeout(900)]


RUN = [page for page in PAGES if any(not command.why_not for command in commands_of(page))]


@pytest.fixture(scope="session")
def traded(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[Path]:
    place = Place(tmp_path_factory.mktemp("traded"), shared_data)
    try:
        yield traded_folder(place)
    finally:
        place.close()


@pytest.fixture
def place(page: Path, tmp_path: Path, shared_data: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    first = page in (ROOT / "README.md", ROOT / "docs" / "setup.md")  # where these are read nothing has run before
    place = Place(tmp_path, shared_data, None if first else request.getfixturevalue("traded"))
    with ExitStack() as held:
        if WITH_SERVERS in page.read_text(encoding="utf-8"):
            postgres, redis = request.getfixturevalue("postgres_url"), request.getfixturevalue("redis_url")
            place.extra = held.enter_context(servers(postgres, redis))
        held.callback(place.close)
        yield place


@pytest.mark.parametrize("page", RUN, ids=named)
def test_the_commands_of_a_page_do_what_it_says(page: Path, place: Place) -> None:
    for command in commands_of(page):
        if not command.why_not:
            place.run(command)
