"""The pages of prompts in a real browser: they fit on a phone in both colours, compare, copy, and take a new version."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# Tests of one server follow each other in any order: one of them adds version 3.
MINE = (
    "/prompts/",
    "/prompts/of/arena/2/",
    "/prompts/of/arena/difference/",
    "/prompts/add/?name=arena",
    "/prompts/now/1/",
    "/prompts/now/1/?layout=compact",
)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 390])
def test_pages_of_prompts_fit_on_the_screen(page, served, width, theme):
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 844})
    for path in MINE:
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_from_the_navigation_to_the_difference_of_two_versions(page, served):
    page.goto(served.url)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Prompts").click()
    page.get_by_role("link", name="Differences").click()
    page.get_by_label("From").select_option("1")
    page.get_by_label("To").select_option("2")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("del")).to_have_text(["well"])
    expect(page.locator("ins").first).to_have_text("carefully")
    page.get_by_label("From").select_option("2")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Both have the same text.")).to_be_visible()


def test_the_prompt_of_a_bot_in_either_layout_is_shown_and_copied(page, served):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(served.url + "/prompts/now/1/")
    expect(page.locator("#user")).to_contain_text(
        "## CURRENT MARKET STATE"
    )  # of prices that a test before may have moved
    page.get_by_role("navigation", name="Layout").get_by_role("link", name="compact").click()
    expect(page.locator("#user")).to_contain_text("## CURRENT MARKET STATE")
    page.get_by_role("button", name="Copy").nth(1).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "## CURRENT MARKET STATE" in page.evaluate("navigator.clipboard.readText()")


def test_a_version_with_a_fault_is_refused_at_its_field_and_a_good_one_is_added(page, served):
    page.goto(served.url + "/prompts/add/?name=arena")
    text = page.get_by_label("Text")
    whole = text.input_value()
    text.fill(whole.replace("$account", ""))
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("$account is missing below the separator")
    text.fill(whole + "\nThink twice.")
    page.get_by_label("Note").fill("thinks twice")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Bots that follow the newest version send it from now on.")).to_be_visible()


def test_without_scripts_everything_is_there_but_the_copying(chromium, served):
    from tests.support.browser import sign_in

    context = chromium.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    sign_in(page, served.url)
    page.goto(served.url + "/prompts/now/1/?layout=compact")
    expect(page.locator("#system")).to_contain_text("# What you may decide")
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    page.goto(served.url + "/prompts/of/arena/2/")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".diff li").first).to_be_visible()
    context.close()
