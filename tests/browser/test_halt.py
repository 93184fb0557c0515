"""The emergency stop in a real browser: pressed, watched until it is proved, and pressed without any script."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browser import complaints_of, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def beginner(request: Any, chromium: Any, served: Any, complaints: list[str]) -> Iterator[Any]:
    """Return a page of somebody with one account, on which nothing else is tested."""
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="dark", java_script_enabled=request.param
    )
    page = context.new_page()
    complaints_of(page, complaints)
    sign_in(page, served.url, "beginner@vibex.local")
    yield page
    context.close()
    assert complaints == []


def test_two_clicks_stop_everything_and_the_page_says_when_it_is_proved(beginner, served):
    beginner.get_by_role("link", name="Emergency stop").click()
    beginner.get_by_label("Why").fill("trying it")
    beginner.get_by_label("Why").press("Enter")
    expect(beginner.get_by_role("button", name="Stop paper")).to_be_visible()
    assert beginner.url == f"{served.url}/halt/", "Enter in the field stops nothing"
    beginner.get_by_label("Why").fill("trying it")
    beginner.get_by_role("button", name="Stop paper").click()
    expect(beginner.get_by_text("All are proved.")).to_be_visible(timeout=20_000)
    expect(beginner.get_by_text("trying it")).to_be_visible()
    beginner.get_by_role("link", name="paper", exact=True).click()
    expect(beginner.get_by_role("alert").filter(has_text="Halted")).to_contain_text("Proved flat")


def test_the_page_of_a_halt_is_no_wider_than_a_phone(page, served):
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/halt/", "/halt/state/"):
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
