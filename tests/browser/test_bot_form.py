"""The form of a bot in a real browser: it fits on a phone, offers models, and asks before it replaces a retired one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ADD = "/admin/accounts/bot/add/"
PICTURES = os.environ.get("VIBEX_CI_PICTURES", "")
"""Folder for pictures of what was looked at; empty: none are made."""


def picture(page, name):
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("width", [1440, 390])
def test_the_form_fits_on_the_screen(page, served, width):
    page.set_viewport_size({"width": width, "height": 844})
    for path in (ADD, "/admin/decisions/provider/add/", "/bots/1/"):
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        picture(page, f"{path.strip('/').replace('/', '-')}-{width}")


def test_models_are_offered_and_a_retired_one_is_asked_about(page, served):
    page.goto(served.url + ADD)
    model = page.get_by_label("Model:", exact=True)
    assert model.get_attribute("list") == "models-offered"
    option = page.locator('#models-offered option[value="openrouter/x-ai/grok-4.3"]')
    expect(option).to_have_text("$1.25 in, $2.5 out per million · context 1M · takes a schema")
    page.get_by_label("Account:").select_option(index=1)
    page.get_by_label("Name:").fill("asks")
    model.fill("openrouter/x-ai/grok-4")
    page.get_by_label("model 1").first.fill("openrouter/google/gemini-3.8-flash")
    page.get_by_label("Symbols:").fill("BTCUSDT")
    page.get_by_label("Interval:").select_option("15m")
    page.get_by_label("Timeframes:").fill("15m\n1h")
    page.get_by_role("button", name="Save", exact=True).click()
    choice = page.get_by_label("Use openrouter/x-ai/grok-4.3 in place of openrouter/x-ai/grok-4")
    expect(choice).to_be_visible()
    expect(page.get_by_text("openrouter/x-ai/grok-4 is retired. Choose:")).to_be_visible()
    expect(page.get_by_label("model 1").first).to_have_value("openrouter/google/gemini-3.8-flash")
    picture(page, "bot-retired")
    choice.check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("set OPENROUTER_API_KEY").first).to_be_visible()
    picture(page, "bot-no-key")
