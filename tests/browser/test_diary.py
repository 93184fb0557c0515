"""The diary in a real browser: searched while one types, exported, and written into."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def open_diary(page, served, query=""):
    page.goto(f"{served.url}/accounts/1/diary/{query}")


def test_it_is_searched_while_one_types(page, served):
    open_diary(page, served)
    page.get_by_label("Words").press_sequentially("adx flat", delay=20)
    expect(page.locator("#found mark").first).to_be_visible(timeout=20_000)
    expect(page).to_have_url(re.compile(r"q=adx(\+|%20)flat"))
    expect(page.get_by_role("status").filter(has_text="found")).to_be_visible()
    assert all("ADX" in text for text in page.locator("#found .entry p").all_inner_texts())
    page.get_by_label("Kind").select_option("trade")
    expect(page.locator("#found")).to_contain_text("No entry fits all of this", timeout=20_000)
    page.go_back()
    expect(page.locator("#found mark").first).to_be_visible(timeout=20_000)


def test_older_entries_are_a_page_further(page, served):
    open_diary(page, served)
    newest = page.locator("#found .entry").first.inner_text()
    page.get_by_role("link", name="older →").click()
    expect(page.get_by_role("link", name="⇤ newest")).to_be_visible()
    assert page.locator("#found .entry").first.inner_text() != newest


def test_what_is_found_is_taken_along_as_a_table(page, served):
    open_diary(page, served, "?kind=trade")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Export as CSV").click()
    lines = begun.value.path().read_text().splitlines()
    assert begun.value.suggested_filename == "diary-1.csv"
    assert lines[0] == "id,at,account,bot,cycle,kind,symbol,text"
    assert all(",trade," in line for line in lines[1:])


def test_a_note_is_written_once(page, served):
    open_diary(page, served)
    page.get_by_text("Write a note").focus()
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Note").fill("Seen by a person: <b>nothing</b> to do.\nSecond line.")
    page.get_by_role("button", name="Write it").dblclick()
    note = page.locator("#found .entry-note")
    expect(note).to_have_count(1, timeout=20_000)
    expect(note).to_contain_text("<b>nothing</b>")
    expect(note).to_contain_text("by operator@vibex.local")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_on_a_phone_nothing_stands_out_to_the_side(page, served, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 780})
    open_diary(page, served, "?q=adx&from=2020-01-01")
    page.get_by_text("Write a note").click()
    expect(page.get_by_role("textbox", name="Note")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
