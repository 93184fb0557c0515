"""What an operator does about an entry that waits, in a real browser."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import expect

from tests.support.browser import sign_in

pytestmark = pytest.mark.browser
DESK = "/accounts/1/"


@pytest.fixture(autouse=True)
def waits(served):
    """Let the entry of the demo wait, whatever became of it in the test before."""
    with closing(sqlite3.connect(served.folder / "data" / "vibex.sqlite3", timeout=20)) as database, database:
        database.execute("UPDATE decisions_approval SET state = 'awaiting', by_id = NULL, at = NULL, reason = ''")
        cycle = "SELECT d.cycle_id FROM decisions_approval a JOIN decisions_decision d ON d.id = a.decision_id"
        database.execute(f"UPDATE decisions_cycle SET status = 'awaiting' WHERE id IN ({cycle})")
        newer = f"bot_id = 1 AND scheduled_for > (SELECT scheduled_for FROM decisions_cycle WHERE id IN ({cycle}))"
        assert database.execute(f"SELECT count(*) FROM decisions_cycle WHERE {newer}").fetchone() == (0,)


def test_what_waits_is_shown_and_the_time_runs_down(page, served):
    page.goto(served.url + DESK)
    panel = page.locator("#approvals")
    for told in ("XRPUSDT", "1,870.2 at 3×", "of equity", "after costs", "EMA20 1.4168 crossed"):
        expect(panel).to_contain_text(told)
    left = panel.locator(".left time")
    page.evaluate("document.querySelector('.left time').dateTime = new Date(Date.now() + 9000).toISOString()")
    expect(left).to_have_text(re.compile(r"in [3-8] s"), timeout=4000)


def test_a_reason_is_kept_while_the_desk_moves_and_rejecting_tells_it(page, served):
    page.goto(served.url + DESK)
    page.get_by_label("Why not").fill("not before the news")
    with page.expect_response(re.compile("/live/")):
        page.evaluate("document.body.dispatchEvent(new CustomEvent('vibex:refresh'))")
    expect(page.get_by_label("Why not")).to_have_value("not before the news")
    page.get_by_role("button", name="Reject").click()
    expect(page.locator(".message")).to_contain_text("rejected. The bot is told why")
    page.goto(served.url + "/cycles/62/")
    expect(page.locator(".answer", has_text="not before the news")).to_be_visible()  # others may have been ruled before


def test_approving_rules_again_and_says_what_came_of_it(page, served):
    page.goto(served.url + DESK)
    page.get_by_role("button", name="Approve").click()
    said = page.locator(".message")
    expect(said).to_contain_text(re.compile("XRPUSDT: (Approved|Refused)"), timeout=20_000)
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    page.goto(served.url + "/cycles/62/")
    expect(page.locator(".answer", has_text="approved").first).to_be_visible()


def test_a_double_click_answers_once(page, served):
    page.goto(served.url + "/approvals/")
    page.get_by_role("button", name="Reject").dblclick()
    expect(page.locator(".message")).to_contain_text("rejected. The bot is told why")


def test_without_scripts_it_is_answered_from_the_list(chromium, served):
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    sign_in(page, served.url)
    page.goto(served.url + "/approvals/")
    page.get_by_label("Why not").fill("no")
    page.get_by_label("Why not").press("Enter")  # never the button that approves
    expect(page.get_by_role("alert")).to_contain_text("rejected. The bot is told why")
    expect(page.locator("#approvals")).to_contain_text("Nothing waits for an answer")
    context.close()
