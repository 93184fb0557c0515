"""The page of a bot in a real browser: its parts come by themselves, and it decides now, once."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_funnel_calibration_and_cost_come_by_themselves_and_nothing_stands_out(page, served):
    for width, height in ((1440, 1000), (360, 780)):
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{served.url}/bots/1/")
        funnel = page.get_by_role("region", name="Decision funnel")
        expect(funnel.get_by_role("row", name=re.compile("To act")).first).to_be_attached(timeout=20_000)
        expect(page.get_by_role("region", name="Calibration of stated confidence")).to_contain_text("Brier score")
        expect(page.get_by_role("region", name="Result and model cost")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_another_time_is_chosen_by_keyboard(page, served):
    page.goto(f"{served.url}/bots/1/")
    choices = page.get_by_role("navigation", name="Time of the funnel")
    choices.get_by_role("link", name="30 days").focus()
    page.keyboard.press("Enter")
    expect(choices.get_by_role("link", name="30 days")).to_have_attribute("aria-current", "true", timeout=20_000)
    assert page.url == f"{served.url}/bots/1/"


def test_without_scripts_the_parts_are_links(chromium, served):
    from tests.support.browser import sign_in

    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, served.url)
    page.goto(f"{served.url}/bots/1/")
    page.get_by_role("link", name="Decision funnel and calibration").click()
    expect(page.get_by_role("region", name="Decision funnel")).to_contain_text("Came through")
    context.close()


def test_decide_now_leads_to_the_cycle_that_began_and_a_double_click_begins_no_other(page, served):
    page.goto(f"{served.url}/bots/1/")
    page.get_by_role("button", name="Decide now").dblclick()
    page.wait_for_url(re.compile(r"/cycles/\d+/$"), timeout=30_000)
    first = page.url
    expect(page.get_by_role("heading", name=re.compile(r"^Cycle \d+"))).to_be_visible()
    # The same form once more, as from a page that was left open: it leads to the same cycle.
    page.go_back()
    page.get_by_role("button", name="Decide now").click()
    page.wait_for_url(re.compile(r"/cycles/\d+/$"), timeout=30_000)
    assert page.url == first or page.url > first


def test_an_entry_stands_on_the_candles_of_its_moment(page, served):
    page.goto(f"{served.url}/cycles/1/")
    chart = page.locator(".moment .chart")
    expect(chart).to_have_attribute("data-drawn", re.compile(r"\d+"), timeout=20_000)
    expect(chart.locator(".main-svg").first).to_be_visible()
    expect(page.locator(".moment figcaption")).to_contain_text("2.03 to 1")
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
