"""What an operator does on the desk, in a real browser."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest
from playwright.sync_api import expect

from benchmarks.screenshots import PAGES
from tests.support.browser import complaints_of, sign_in

pytestmark = pytest.mark.browser

DESK = "/accounts/1/"
OPERATORS = [path for who, path in PAGES.values() if who == "operator@vibex.local" and path != "/nothing/"]


@pytest.fixture
def page(page: Any, served: Any) -> Any:
    """Return the desk of the paper account, signed in."""
    page.goto(served.url + DESK)
    return page


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 390, 360])
def test_no_page_is_wider_than_the_screen_or_complains(page, served, width, theme):
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 844})
    for path in [path for path in OPERATORS if not path.startswith("/admin/")]:
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_no_page_of_the_admin_complains(page, served):
    for path in [path for path in OPERATORS if path.startswith("/admin/")]:
        page.goto(served.url + path)
        expect(page.get_by_role("link", name="Vibex admin")).to_be_visible()


def test_the_curve_is_drawn_and_its_span_can_be_chosen(page):
    expect(page.locator("[data-chart] .main-svg").first).to_be_visible()
    with page.expect_response(re.compile("span=day")) as answered:
        page.get_by_role("button", name="day", exact=True).click()
    assert len(answered.value.json()["data"][0]["x"]) > 10
    expect(page.get_by_role("button", name="day", exact=True)).to_have_attribute("aria-pressed", "true")


def test_results_move_without_a_reload(page):
    unrealised = page.locator("#positions tbody tr").first.locator("td").nth(2)
    before = unrealised.inner_text()
    page.evaluate("window.sameDocument = true")
    expect(unrealised).not_to_have_text(before, timeout=60_000)
    assert page.evaluate("window.sameDocument")


def test_what_one_window_does_shows_in_the_other_at_once(page, chromium, served):
    other = chromium.new_context().new_page()
    sign_in(other, served.url)
    other.goto(served.url + DESK)
    expect(other.locator("#connection")).to_have_text("live")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#bot .status").first).to_have_text("paused")
    expect(other.locator("#bot .status").first).to_have_text("paused", timeout=3000)
    other.get_by_role("button", name="Start").click()
    expect(page.locator("#bot .status").first).to_have_text("running", timeout=3000)
    other.context.close()


def test_stopping_asks_first_and_says_what_stays(page):
    page.locator("#bot").get_by_role("link", name="Stop").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("keep stop and target")
    dialog.get_by_role("link", name="Leave it as it is").click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#bot .status").first).to_have_text("running")


def test_a_double_click_is_harmless(page):
    page.get_by_role("button", name="Pause").dblclick()
    expect(page.locator("#bot .status").first).to_have_text("paused")
    page.get_by_role("button", name="Start").dblclick()
    expect(page.locator("#bot .status").first).to_have_text("running")
    expect(page.locator("#bot [role=alert]")).to_have_count(0)


def test_a_server_that_falls_silent_is_shown_within_seconds_and_mends_itself(page, served, complaints):
    expect(page.locator("#connection")).to_have_text("live")
    os.kill(served.process.pid, signal.SIGSTOP)
    try:
        expect(page.locator("#connection")).to_contain_text("connection lost", timeout=6000)
    finally:
        os.kill(served.process.pid, signal.SIGCONT)
    expect(page.locator("#connection")).to_have_text("live", timeout=20_000)
    complaints.clear()  # the browser reports the failed attempts itself


def test_a_session_that_ended_leads_to_the_sign_in_page(page, served):
    page.context.clear_cookies()
    page.evaluate("document.body.dispatchEvent(new CustomEvent('vibex:refresh'))")
    page.wait_for_url(re.compile("/sign-in/"))


def test_what_a_model_wrote_is_shown_and_never_run(page, served):
    ran = []
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    page.goto(f"{served.url}/cycles/40/")
    page.get_by_text("Prompt (arena v1)").click()
    expect(page.get_by_text("<script>alert('from the model')</script>").first).to_be_visible()
    assert ran == []


def test_without_scripts_the_desk_shows_the_state_and_the_buttons_work(chromium, served):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, served.url)
    page.goto(served.url + DESK)
    expect(page.locator("#positions")).to_contain_text(
        re.compile("[A-Z]+USDT")
    )  # the market goes on: which one is open changes
    expect(page.locator(".chart svg polyline")).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#bot .status").first).to_have_text("paused")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#bot .status").first).to_have_text("running")
    context.close()


def test_the_diary_can_be_narrowed_from_the_desk(page):
    page.locator("form.filter").get_by_label("Kind").select_option("trade")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("kind=trade"))
    expect(page.locator(".entry-hold")).to_have_count(0)
    expect(page.locator(".entry-trade").first).to_be_visible()


def test_everything_on_the_desk_is_reached_by_keyboard(page):
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Skip to the content", "Diary", "Pause", "Stop", "Sign out"} <= reached


def test_a_wrong_password_is_told_without_complaints(chromium, served):
    page = chromium.new_context().new_page()
    found = complaints_of(page, [])
    page.goto(f"{served.url}/sign-in/")
    page.get_by_label("E-mail").fill("operator@vibex.local")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    assert found == []
    page.context.close()
