"""The dangerous buttons in a real browser: asked in a dialog or on a page, by mouse and by keyboard, with and without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browser import complaints_of, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture
def plain(chromium: Any, served: Any, complaints: list[str]) -> Iterator[Any]:
    """Return a page of the operator that runs no scripts, as wide as a small phone."""
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 360, "height": 740})
    page = context.new_page()
    complaints_of(page, complaints)
    sign_in(page, served.url)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def desk(page: Any, served: Any) -> Any:
    """Return the desk of the paper account."""
    page.goto(f"{served.url}/accounts/1/")
    expect(page.locator("#connection")).to_have_text("live")
    return page


def test_a_close_is_asked_in_a_dialog_that_names_it_and_can_be_left(desk):
    desk.locator("#positions").get_by_role("link", name="Close BTCUSDT").click()
    dialog = desk.get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile(r"Close BTCUSDT long, worth [\d,.]+ USDT, at market, reduce-only"))
    expect(dialog.get_by_role("button", name="Close BTCUSDT")).to_be_visible()
    desk.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(desk.locator("#positions")).to_contain_text("BTCUSDT")


def test_the_question_is_opened_and_left_by_keyboard(desk):
    link = desk.locator("#positions").get_by_role("link", name="Close all")
    link.focus()
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("dialog")).to_contain_text("Close 2 positions worth")
    expect(desk.get_by_role("link", name="Leave it as it is")).to_be_focused()
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("dialog")).to_have_count(0)


def test_a_stop_is_moved_in_the_dialog_after_it_said_what_that_means(desk):
    desk.locator("#positions").get_by_role("link", name="Move stop BTCUSDT").click()
    dialog = desk.get_by_role("dialog")
    expect(dialog.get_by_label("New price")).to_be_focused()
    dialog.get_by_label("New price").fill("1")
    dialog.get_by_label("New price").press("Enter")
    expect(dialog).to_contain_text("Move the stop of BTCUSDT from")
    dialog.get_by_role("button", name="Move the stop").click()
    expect(dialog).to_contain_text("Not done.", timeout=20_000)
    expect(dialog).to_contain_text("would never fire")
    dialog.get_by_role("link", name="Back to the desk").click()
    expect(dialog).to_have_count(0)


@pytest.fixture
def broken(desk: Any, complaints: list[str]) -> Iterator[Any]:
    """Return the desk; what its failing requests write to the console is meant."""
    yield desk
    desk.unroute("**/*")
    complaints.clear()


def answering(page: Any, path: str, status: int | None) -> None:
    """Let what is sent there fail: with a status, or without a connection."""

    def answer(route: Any) -> None:
        if route.request.method != "POST":
            route.fallback()
        elif status is None:
            route.abort()
        else:
            route.fulfill(status=status, body="broken")

    page.route(path, answer)


@pytest.mark.parametrize(("status", "why"), [(500, "HTTP 500"), (None, "no connection")])
def test_a_press_in_the_dialog_that_fails_is_said_there(broken, status, why):
    answering(broken, "**/acts/halt/", status)
    broken.get_by_role("link", name="Halt this account").click()
    dialog = broken.get_by_role("dialog")
    dialog.get_by_role("button", name=re.compile("^Halt")).click()
    expect(dialog.get_by_role("alert")).to_have_text(
        f"Not known to be done: {why}. Look at the desk, or press again.", timeout=10_000
    )
    expect(dialog.get_by_role("button", name=re.compile("^Halt"))).to_be_enabled()
    expect(broken.get_by_role("alert")).to_have_count(1)


@pytest.mark.parametrize(("status", "why"), [(503, "HTTP 503"), (None, "no connection")])
def test_a_button_of_the_desk_that_fails_is_said_at_the_top_until_one_works(broken, status, why):
    answering(broken, "**/bots/*/pause/", status)
    broken.locator("#bot").get_by_role("button", name="Pause").first.click()
    trouble = broken.locator("[data-trouble]")
    expect(trouble).to_contain_text(f"Not known to be done: {why}", timeout=10_000)
    expect(trouble).to_have_attribute("role", "alert")
    broken.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(trouble).to_be_in_viewport()
    broken.unroute("**/bots/*/pause/")
    broken.locator("#bot").get_by_role("button", name="Pause").first.click()
    expect(trouble).to_have_count(0)
    broken.locator("#bot").get_by_role("button", name="Start").first.click()
    expect(broken.locator("#bot").get_by_role("button", name="Pause").first).to_be_visible()


def test_the_dialog_fits_a_phone(desk):
    desk.set_viewport_size({"width": 360, "height": 640})
    desk.get_by_role("link", name="Halt this account").click()
    expect(desk.get_by_role("dialog")).to_contain_text("working orders")
    assert desk.evaluate("document.documentElement.scrollWidth") <= 360
    box = desk.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    desk.keyboard.press("Escape")


def test_without_scripts_the_same_question_is_a_page_and_its_answer_another(plain, served):
    plain.goto(f"{served.url}/accounts/1/")
    plain.locator("#positions").get_by_role("link", name="Move stop SOLUSDT").click()
    expect(plain).to_have_url(re.compile("/acts/move-stop/"))
    plain.get_by_label("New price").fill("none")
    plain.get_by_role("button", name="Show what it does").click()
    expect(plain.get_by_role("alert").first).to_contain_text("none is no price")
    plain.get_by_label("New price").fill("1000000")
    plain.get_by_role("button", name="Show what it does").click()
    plain.get_by_role("button", name="Move the stop").click()
    expect(plain.get_by_text("Not done.")).to_be_visible(timeout=20_000)
    plain.get_by_role("link", name="Back to the desk").click()
    expect(plain.locator("#positions")).to_contain_text("SOLUSDT")


def test_no_page_of_these_is_wider_than_a_phone(page, served):
    page.set_viewport_size({"width": 360, "height": 740})
    for path in ("orders/", "trades/", "books/", "acts/close-all/", "acts/halt/", "acts/resume/", "orders/?state=open"):
        page.goto(f"{served.url}/accounts/1/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_orders_are_narrowed_from_their_page(page, served):
    page.goto(f"{served.url}/accounts/1/orders/")
    page.get_by_label("Role").select_option("stop")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("role=stop"))
    expect(page.locator("tbody tr").first).to_contain_text("stop")
