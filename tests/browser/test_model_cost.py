"""What models cost, in a real browser: beside the result on the desk, and as a chart on the page of a bot."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def bot_id(served) -> int:
    with closing(sqlite3.connect(served.folder / "data" / "vibex.sqlite3", timeout=20)) as database:
        return int(database.execute("SELECT bot_id FROM decisions_interaction WHERE cost IS NOT NULL").fetchone()[0])


def test_cost_stands_beside_the_result(page, served, bot_id):
    page.goto(f"{served.url}/accounts/1/")
    expect(page.locator("#strip")).to_contain_text("Model cost")
    page.goto(f"{served.url}/bots/{bot_id}/")
    panel = page.get_by_role("region", name="Result and model cost")
    expect(panel).to_contain_text("Net of it")
    expect(panel.locator(".js-plotly-plot .bars path").first).to_be_attached(timeout=20_000)


def test_on_a_phone_nothing_stands_out_to_the_side(page, served, bot_id):
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{served.url}/bots/{bot_id}/")
    expect(page.get_by_role("region", name="Result and model cost")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
