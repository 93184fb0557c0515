"""Overview and arena in a real browser: live, by keyboard, without scripts, and on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import complaints_of, sign_in

pytestmark = pytest.mark.browser

SOMEBODY = "arena@vibex.local"


@pytest.fixture
def guest(chromium, served, complaints):
    """Return a page of the person with four bots; asks for another width or for no scripts by its arguments."""
    contexts = []

    def opened(**how):
        context = chromium.new_context(**({"viewport": {"width": 1440, "height": 1000}} | how))
        contexts.append(context)
        page = context.new_page()
        complaints_of(page, complaints)
        sign_in(page, served.url, SOMEBODY)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def test_the_first_page_shows_all_accounts_and_moves_without_being_loaded_anew(page, served):
    page.goto(served.url)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=20_000)
    expect(page.locator("#cards article").nth(4)).to_be_visible()  # other tests may have made one more
    expect(page.locator(".chart .main-svg").first).to_be_visible(timeout=20_000)
    page.evaluate("window.stayed = true")
    result = page.locator("#positions tbody tr").first.locator("[data-label=Result]")
    before = result.inner_text()
    page.wait_for_timeout(2_500)  # the demo's prices move once a second
    page.evaluate("document.body.dispatchEvent(new CustomEvent('vibex:refresh'))")
    expect(result).not_to_have_text(before, timeout=25_000)
    assert page.evaluate("window.stayed")


def test_every_light_says_its_state_in_a_word_and_why(page, served):
    page.goto(served.url)
    lights = page.get_by_role("region", name="System").get_by_role("listitem")
    expect(lights).to_have_count(6)
    for light in lights.all():
        assert light.locator(".light-word").inner_text().strip()
        assert light.locator("small").inner_text().strip()


def test_span_and_market_of_the_chart_are_chosen_by_keyboard(guest, served):
    page = guest()
    page.goto(served.url)
    chart = page.locator("[data-chart]")
    expect(chart.locator(".main-svg").first).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="all", exact=True).focus()
    with page.expect_response(re.compile("span=all")):
        page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="all", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(chart.locator(".legendtext")).to_contain_text(["deepseek on deepseek", "cash"])


def test_bots_are_chosen_and_compared(guest, served):
    page = guest()
    page.goto(served.url)
    page.get_by_role("link", name="Compare in the arena").click()
    page.get_by_label("haiku").uncheck()
    page.get_by_label("deepseek").uncheck()
    page.get_by_label("Over the last").select_option("all")
    page.get_by_role("button", name="Compare").click()
    pairs = page.get_by_role("region", name="Each with each other")
    expect(pairs.get_by_role("rowheader")).to_have_text(["grok and trend"])
    expect(page.get_by_role("region", name="Figures")).to_contain_text("65 days that all have")
    expect(page.locator(".chart .main-svg").first).to_be_visible(timeout=20_000)


def test_without_scripts_the_state_is_there_and_the_form_compares(guest, served):
    page = guest(java_script_enabled=False)
    page.goto(served.url)
    for panel in ("Totals", "System", "Accounts", "Leaderboard"):
        expect(page.get_by_role("region", name=panel)).to_be_visible()
    expect(page.get_by_text("Without scripts the returns stand")).to_be_visible()
    page.goto(f"{served.url}/arena/")
    page.get_by_label("haiku").uncheck()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("region", name="Each with each other").get_by_role("rowheader")).to_have_count(3)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("path", ["/", "/arena/?span=all"])
def test_on_a_phone_nothing_stands_out_to_the_side(guest, served, path, theme):
    page = guest(viewport={"width": 360, "height": 740}, color_scheme=theme)
    page.goto(served.url + path)
    expect(page.locator(".chart .main-svg").first).to_be_visible(timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_a_phone_the_accounts_of_an_operator_fit_too(page, served):
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(served.url)
    expect(page.locator("#cards article").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("path", ["/", "/arena/"])
def test_nothing_shifts_while_the_page_comes_up(guest, served, path):
    page = guest()
    page.add_init_script(
        "window.shifts = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries()) "
        "window.shifts += entry.value; }).observe({ type: 'layout-shift', buffered: true });"
    )
    page.goto(served.url + path)
    expect(page.locator(".chart .main-svg").first).to_be_visible(timeout=20_000)
    page.wait_for_timeout(500)
    assert page.evaluate("window.shifts") < 0.02
