"""The page of performance in a real browser: its parts come by themselves, its charts are drawn, and it reads on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support import browser as support

pytestmark = pytest.mark.browser
WHO = "judged@vibex.local"


@pytest.fixture
def looking(chromium: Any, served: support.Served) -> Iterator[Any]:
    """Return a page of somebody with four months of results. Fails the test for any complaint of the browser."""
    complaints: list[str] = []
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    support.complaints_of(page, complaints)
    support.sign_in(page, served.url, WHO)
    yield page
    context.close()
    assert complaints == []


def test_parts_come_by_themselves_charts_are_drawn_and_nothing_stands_out(looking, served):
    for width, height in ((1440, 1000), (360, 780)):
        looking.set_viewport_size({"width": width, "height": height})
        looking.goto(f"{served.url}/performance/?days=all")
        for name, words in (
            ("What the figures prove", "Deflated Sharpe ratio"),
            ("Beside what anybody could have done", "Buy and hold"),
            ("Where the result came from", "BTCUSDT"),
            ("By kind of market", "The day itself is not looked at"),
            ("Where decisions ended", "To act"),
        ):
            expect(looking.get_by_role("region", name=name)).to_contain_text(words)
        for chart in (".chart.judged", ".chart.bars", ".chart.fan"):
            expect(looking.locator(f"{chart}[data-drawn] .main-svg").first).to_be_attached()
        assert looking.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_bot_is_chosen_by_keyboard_and_has_its_repeat(looking, served):
    looking.goto(f"{served.url}/performance/?days=all")
    choice = looking.get_by_label("Account, bot or model")
    choice.focus()
    choice.select_option(label="grok on first")
    looking.get_by_label("Trials at least").fill("12")
    looking.get_by_role("button", name="Look").press("Enter")
    looking.wait_for_url(re.compile(r"of=bot-\d+"))
    expect(looking.get_by_role("region", name="Repeats")).to_contain_text("on average of 2")
    expect(looking.get_by_role("region", name="What the figures prove")).to_contain_text("best of 12")


def test_without_scripts_every_part_is_a_link(chromium, served):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    support.sign_in(page, served.url, WHO)
    page.goto(f"{served.url}/performance/?days=all")
    page.get_by_role("link", name="Beside what anybody could have done").click()
    expect(page.get_by_role("region", name="Beside what anybody could have done")).to_contain_text(
        "The same bot that holds"
    )
    page.get_by_role("link", name="Performance of first").click()
    expect(page.get_by_role("heading", name="Performance")).to_be_visible()
    context.close()
