"""The page of a decision in a real browser: texts on demand, copying, a phone, no scripts."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import expect

from tests.support.browser import complaints_of, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture
def ladder(served) -> str:
    """Return the address of the demo's ladder."""
    with closing(sqlite3.connect(served.folder / "data" / "vibex.sqlite3", timeout=20)) as database:
        found = database.execute(
            "SELECT cycle_id FROM decisions_interaction WHERE reason LIKE 'SOLUSDT held%'"
        ).fetchone()
    return f"{served.url}/cycles/{found[0]}/"


def test_the_whole_way_can_be_read_in_words(page, ladder):
    page.goto(ladder)
    stations = page.get_by_role("region", name="The way of this decision").get_by_role("listitem")
    expect(stations).to_have_count(8)
    expect(stations.nth(4)).to_contain_text("partly")
    expect(stations.nth(4)).to_contain_text("stop_loss.side")
    held = page.get_by_role("row", name="SOLUSDT")
    expect(held).to_contain_text("stopped here stop_loss.side")
    page.get_by_role("link", name="XRPUSDT").click()
    expect(page.locator("article:target")).to_contain_text("The group alt is full.")


def test_texts_are_fetched_when_they_are_opened_and_copied_with_the_keyboard(page, ladder):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/interactions/" in request.url else None)
    page.goto(ladder)
    assert asked == []
    used = page.locator(".rung-used").first
    used.locator("summary", has_text="Reasoning").focus()
    page.keyboard.press("Enter")
    expect(used.locator("pre")).to_contain_text("The trend is up. *** ⟦U+202E⟧is not to be shown.")
    expect(used).to_contain_text("what looks like a secret is masked")
    used.get_by_role("button", name="Copy").focus()
    page.keyboard.press("Enter")
    expect(used.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == used.locator("pre").text_content()
    expect(used.get_by_role("button", name="Copy")).to_be_visible(timeout=4000)
    used.locator("summary", has_text="Reasoning").click()
    used.locator("summary", has_text="Reasoning").click()
    assert len(asked) == 1


def test_where_nothing_may_be_copied_the_text_is_selected(page, ladder):
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined}); Document.prototype.execCommand = () => false;"
    )
    page.goto(ladder)
    page.locator(".replay").get_by_role("button").click()
    expect(page.locator(".replay").get_by_role("button")).to_have_text("Selected: copy with the keyboard")
    assert page.evaluate("getSelection().toString()").startswith("uv run manage.py replay ")


def test_a_text_can_be_taken_away_as_a_file(page, ladder):
    page.goto(ladder)
    page.locator(".rung-used summary", has_text="Raw reply").first.click()
    with page.expect_download() as download:
        page.locator(".rung-used").get_by_role("link", name="Download as text").click()
    assert download.value.suggested_filename.endswith("-reply.txt")
    text = download.value.path().read_text()
    assert "buy_to_enter" in text
    assert "Use ***" in text


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_on_a_phone_nothing_is_wider_than_the_screen(chromium, served, ladder, scheme):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page, complaints = context.new_page(), []
    complaints_of(page, complaints)
    sign_in(page, served.url)
    page.goto(ladder)
    for summary in page.locator("summary").all():
        summary.click()
    expect(page.locator("details .block").first).to_be_visible()
    expect(page.locator("details p", has_text="Loading")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()
    assert complaints == []


def test_without_scripts_the_way_is_whole_and_texts_have_pages(chromium, served, ladder):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, served.url)
    page.goto(ladder)
    expect(page.locator(".station")).to_have_count(8)
    expect(page.locator("[data-copy]").first).to_be_hidden()
    first = page.locator(".rung").first
    first.locator("summary", has_text="Raw reply").click()
    first.get_by_role("link", name="Open it on a page of its own").last.click()
    expect(page.locator("pre").first).to_contain_text("Here is what I would do")
    page.get_by_role("link", name="← Cycle").click()
    page.get_by_role("link", name="← Before").click()
    expect(page.locator("h1")).to_contain_text("Cycle")
    assert page.url != ladder
    context.close()
