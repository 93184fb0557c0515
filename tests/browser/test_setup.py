"""The first account in a browser: by keyboard and without scripts, sent twice, and the page of operations that moves by itself."""

import pytest

from tests.support.browser import complaints_of, sign_in

pytestmark = pytest.mark.browser


def of(chromium, served, email, complaints, **how):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme="light", **how)
    page = context.new_page()
    if how.get("java_script_enabled", True):
        complaints_of(page, complaints)
    sign_in(page, served.url, email)
    return page


def test_a_newcomer_sets_up_an_account_and_starts_its_bot(chromium, served, complaints):
    page = of(chromium, served, "newcomer@vibex.local", complaints)
    assert page.get_by_role("heading", name="Your first account").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_label("Name of the account").fill("")
    page.get_by_role("button", name="Make account and bot").click()
    page.get_by_text("Nothing was made yet").wait_for()
    complaints[:] = [text for text in complaints if "422" not in text]  # the browser reports the refusal itself
    page.get_by_label("Name of the account").fill("mine")
    page.get_by_role("radio", name="Usual").check()
    page.get_by_label("XRPUSDT").check()
    page.get_by_role("button", name="Make account and bot").dblclick()
    page.wait_for_url("**/accounts/*/")
    page.get_by_text("mine is ready").wait_for()
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.goto(f"{served.url}/setup/")
    page.wait_for_url("**/accounts/*/")
    assert page.get_by_role("navigation", name="Accounts").get_by_role("link").count() == 1
    assert complaints == []


def test_without_scripts_the_form_works_as_well(chromium, served, complaints):
    page = of(chromium, served, "nobody@vibex.local", complaints, java_script_enabled=False)
    page.get_by_label("Name of the account").fill("two words")
    page.get_by_role("button", name="Make account and bot").click()
    assert page.get_by_text("Nothing was made yet").is_visible()
    assert page.get_by_label("Name of the account").input_value() == "two words"
    assert page.get_by_role("radio", name="Careful").is_checked()


def test_the_page_of_operations_says_what_runs_and_fits_a_phone(chromium, served, complaints):
    page = of(chromium, served, "operator@vibex.local", complaints)
    page.goto(f"{served.url}/operations/")
    assert page.get_by_role("heading", name="Feeds and gaps").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with page.expect_response("**/operations/live/"):
        page.evaluate("document.body.dispatchEvent(new CustomEvent('vibex:refresh'))")
    assert page.locator("#operations").count() == 1
    page.goto(f"{served.url}/operations/log/")
    assert page.get_by_role("heading", name="Log").is_visible()
    assert complaints == []
