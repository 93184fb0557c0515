"""Every page, in both themes, by axe-core: nothing serious is in the way of a person who cannot see, or uses the keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.screenshots import PAGES, THEMES
from tests.support import browser as support

pytestmark = [pytest.mark.browser, pytest.mark.ci, pytest.mark.timeout(600)]

GRAVE = ("serious", "critical")
SETTLED = (
    "new Promise(requestAnimationFrame).then(() => Promise.all(document.getAnimations().map((each) => each.finished)))"
)
"""Colours of the admin pass over into each other: half way nothing can be read."""
PERSONS = tuple(dict.fromkeys(person for person, _ in PAGES.values()))


def found_by_axe(page: Any) -> Iterator[str]:
    """Yield what is grave, with where it is."""
    from axe_playwright_python.sync_playwright import Axe

    for fault in Axe().run(page).response["violations"]:
        if fault["impact"] in GRAVE:
            places = "; ".join(f"{node['html'][:160]} ({node['failureSummary'][:200]})" for node in fault["nodes"][:3])
            yield f"{fault['id']} ({fault['impact']}): {fault['help']}: {places}"


@pytest.mark.parametrize("person", PERSONS, ids=lambda who: (who or "nobody").partition("@")[0])
def test_no_page_has_a_grave_fault(chromium: Any, served: support.Served, person: str | None) -> None:
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    if person:
        support.sign_in(page, served.url, person)
    faults: dict[str, list[str]] = {}
    for name, path in ((name, path) for name, (who, path) in PAGES.items() if who == person):
        page.goto(served.url + path)
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            page.evaluate(SETTLED)
            if found := list(found_by_axe(page)):
                faults[f"{name}, {theme}"] = found
    context.close()
    assert faults == {}
