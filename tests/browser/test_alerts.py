"""Alerts in a real browser: seen, acknowledged in place, and sent as a test to a channel that was just entered."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from accounts.tests.alert_kit import http_receiver

pytestmark = pytest.mark.browser


def test_an_alert_is_acknowledged_in_place_and_counted_down(page, served):
    page.goto(served.url + "/alerts/?type=stop-hit")
    count = page.locator("#alerts-link .badge")
    before = int(count.inner_text())
    page.evaluate("window.sameDocument = true")
    alert = page.locator("article.entry")
    alert.get_by_role("button", name="Acknowledge").click()
    expect(alert).to_contain_text("acknowledged by operator@vibex.local")
    expect(count).to_have_text(str(before - 1))
    assert page.evaluate("window.sameDocument")


def test_the_count_is_read_again_when_something_happens(page, served):
    page.goto(served.url + "/accounts/1/")
    expect(page.locator("#connection")).to_have_text("live")
    with page.expect_response("**/alerts/count/"):
        page.evaluate("document.body.dispatchEvent(new CustomEvent('vibex:refresh'))")
    expect(page.locator("#alerts-link .badge")).to_be_visible()


def test_a_channel_is_entered_tested_and_removed(page, served):
    with http_receiver() as desk:
        page.goto(served.url + "/alerts/channels/")
        page.get_by_label("Name").fill("mine")
        page.get_by_label("Address").fill(f"json://127.0.0.1:{desk.port}/hook-of-mine-77")
        page.get_by_label("missing protection").check()
        page.get_by_role("button", name="Add").click()
        expect(page.locator("body")).to_contain_text("mine is stored")
        expect(page.locator("body")).not_to_contain_text("hook-of-mine-77")
        mine = page.locator("article.entry", has_text="mine")
        mine.get_by_role("button", name="Send a test").click()
        expect(mine).to_contain_text("Last message: sent", timeout=20_000)
        assert [title for title, _ in desk.got] == ["Vibex INFO: test"]
        mine.get_by_role("link", name="Change").click()
        expect(page.get_by_label("Address")).to_have_value("")
        expect(page.get_by_label("missing protection")).to_be_checked()
        page.get_by_label("Address").fill("nonsense")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("An address is one line")
        page.goto(served.url + "/alerts/channels/")
        page.locator("article.entry", has_text="mine").get_by_role("button", name="Remove").click()
        expect(page.locator("body")).to_contain_text("mine is removed")
