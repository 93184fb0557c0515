"""The API and its documentation in a real browser: signed in, listed, posted, without a breach of the policy."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_list_is_shown_narrowed_and_leads_to_its_next_page(page, served):
    page.goto(f"{served.url}/api/v1/diary/?limit=2")
    expect(page.get_by_role("heading", name="Diary")).to_be_visible()
    told = page.locator(".response-info")
    expect(told).to_contain_text("HTTP 200 OK")
    expect(told).to_contain_text("application/json")
    first = told.inner_text()
    page.locator(".pager a", has_text="Next").click()
    expect(told).to_contain_text("HTTP 200 OK")
    assert told.inner_text() != first


def test_what_a_form_posts_is_done_and_what_was_wrong_is_shown_on_the_page(page, served, complaints):
    def posted(body: dict[str, object]) -> None:
        page.locator("[name=_content]").first.fill(json.dumps(body))
        page.get_by_role("button", name="POST").click()

    page.goto(f"{served.url}/api/v1/accounts/")
    told = page.locator(".response-info")
    posted({"name": "by-form", "venue": "sim", "starting_balanc": "5000"})
    expect(told).to_contain_text("HTTP 400 Bad Request")
    expect(told).to_contain_text("There is no such field.")
    assert [text for text in complaints if "400" not in text] == []
    complaints.clear()  # of the answer itself; what breaks the policy would have stood there too
    posted({"name": "by-form", "venue": "sim", "starting_balance": "5000"})
    expect(told).to_contain_text("HTTP 201 Created")
    expect(told).to_contain_text('"name": "by-form"')


def test_somebody_unknown_is_led_to_the_door(chromium, served):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{served.url}/api/v1/accounts/")
    expect(page.locator(".response-info")).to_contain_text("HTTP 401 Unauthorized")
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_label("E-mail")).to_be_visible()
    context.close()


def test_the_documentation_shows_every_address_and_tries_one_out(page, served):
    page.goto(f"{served.url}/docs")
    assert page.url == f"{served.url}/api/docs/"
    page.locator("#operations-tag-status").click(timeout=60_000)
    page.locator("#operations-status-status_retrieve").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
