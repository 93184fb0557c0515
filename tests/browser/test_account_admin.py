"""The pages of one account in the admin, in a real browser: they fit on a phone, complain of nothing, and act."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from benchmarks.screenshots import PAGES

pytestmark = pytest.mark.browser

MINE = [PAGES[name][1] for name in ("admin-gate", "admin-check", "admin-promote")]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 390])
def test_pages_of_an_account_fit_on_the_screen(page, served, width, theme):
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 844})
    for path in MINE:
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_limits_are_confirmed_on_the_page_of_the_gate(page, served):
    page.goto(served.url + PAGES["admin-gate"][1])
    page.get_by_role("button", name="Confirm the limits").click()
    expect(page.get_by_text("The limits are confirmed as they are.")).to_be_visible()
    expect(page.get_by_text("Limits were set or confirmed by operator@vibex.local")).to_be_visible()
    expect(page.get_by_role("button", name="Confirm the limits")).to_have_count(0)


def test_an_account_without_keys_is_told_so_when_it_is_checked(page, served):
    page.goto(served.url + PAGES["admin-check"][1])
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_role("alert")).to_contain_text("ASTERDEX_USER_MAIN")
    expect(page.get_by_role("button", name="Check again")).to_be_visible()


@pytest.mark.parametrize(("path", "badge"), [("desk-live", "live"), ("desk-testnet", "testnet")])
def test_a_badge_tells_real_money_from_a_testnet(page, served, path, badge):
    page.goto(served.url + PAGES[path][1])
    expect(page.locator("#market .badge").first).to_have_text(badge)
    expect(page.locator(".accounts [aria-current] .badge")).to_have_text(badge)
    notes = page.locator("#market").get_by_text("Nothing is opened here.")
    expect(notes).to_have_count(1 if badge == "live" else 0)
