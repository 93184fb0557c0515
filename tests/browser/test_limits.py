"""Limits in a real browser: they fit on a phone, complain of nothing, and what clashes opens the part it stands in."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ACCOUNT = "/admin/accounts/account/1/"
MINE = (f"{ACCOUNT}change/", f"{ACCOUNT}changes/", "/accounts/1/books/", "/cycles/1/")


@pytest.mark.parametrize("width", [1440, 390])
def test_pages_about_limits_fit_on_the_screen(page, served, width):
    page.set_viewport_size({"width": width, "height": 844})
    for path in MINE:
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_clash_is_shown_at_its_field_and_a_change_in_the_sentences_and_the_history(page, served):
    page.goto(served.url + f"{ACCOUNT}change/")
    page.get_by_role("heading", name="Pace and pauses").click()
    field = page.locator("#id_limits-0-opens_per_hour")
    field.fill("31")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("31 entries an hour can never be reached")).to_be_visible()
    field.fill("5")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("At most 5 entries an hour and 30 in 24 h.")).to_be_visible()
    page.get_by_role("link", name="Who changed what").click()
    row = page.get_by_role("row").filter(has_text="opens per hour").first
    expect(row).to_contain_text("operator@vibex.local")
    expect(row.get_by_role("definition")).to_contain_text("6 →became 5")


def test_the_gauges_can_be_read_without_their_bars(page, served):
    page.goto(served.url + "/accounts/1/books/")
    gauges = page.get_by_role("list", name="How near the limits are").get_by_role("listitem")
    expect(gauges).to_have_count(5)
    expect(gauges.nth(4)).to_contain_text("66 % of the limit")
