"""Getting in, looking after one's sign-ins and keys, and acting on real money, in a real browser."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.sync_api import expect

from tests.support.browser import complaints_of, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.ci]
KEEPER = "keeper@vibex.local"
PASSWORD = "correct horse battery"
SHOTS = os.environ.get("ACCESS_SHOTS", "")
"""Folder for pictures of each page, to look at."""


@pytest.fixture
def browsers(chromium: Any, complaints: list[str]) -> Iterator[tuple[Any, Any]]:
    """Return two browsers of one person: a wide one and a phone."""
    contexts = [
        chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        for width, scheme in ((1280, "dark"), (390, "light"))
    ]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        complaints_of(page, complaints)
    yield pages[0], pages[1]
    for context in contexts:
        context.close()
    assert complaints == []


def looked_at(page: Any, name: str) -> None:
    """Check that nothing is wider than the screen, at both widths; take pictures where they are wanted."""
    own = page.viewport_size
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        if SHOTS:
            page.screenshot(path=str(Path(SHOTS) / f"{name}-{width}.png"), full_page=True)
    page.set_viewport_size(own)


def set_up_second_factor(page: Any, url: str) -> list[str]:
    """Switch the second factor on as a person would; return the recovery codes."""
    page.goto(f"{url}/profile/")
    looked_at(page, "profile")
    page.get_by_role("button", name="Set up a second factor").click()
    secret = page.locator("#secret").inner_text()
    assert page.locator(".qr svg").bounding_box()["width"] > 100
    looked_at(page, "second-factor")
    page.get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).now())
    # As an impatient hand does: the codes are shown once, and must not be lost behind a second answer.
    page.get_by_role("button", name="Switch it on").dblclick()
    expect(page.get_by_role("heading", name="The second factor is on")).to_be_visible()
    looked_at(page, "recovery-codes")
    return page.locator("#codes").inner_text().split()


def started(page):
    """Say yes to the question what the bot will do with real money."""
    page.locator("#bot").get_by_role("link", name="Start").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("This is real money").fill("kept-live")
    dialog.get_by_role("button", name=re.compile("^Start")).click()


def test_a_second_factor_guards_the_way_in_and_real_money(browsers, served):
    wide, phone = browsers
    sign_in(wide, served.url, KEEPER)
    sign_in(phone, served.url, KEEPER)
    codes = set_up_second_factor(phone, served.url)

    # What the password had opened in the other browser is shut: real money asks for a code.
    wide.goto(f"{served.url}/")
    wide.get_by_role("link", name="kept-live").first.click()
    desk = wide.url
    started(wide)
    wide.wait_for_url(re.compile("/confirm/"))
    looked_at(wide, "confirm")
    wide.get_by_label("Code of your phone").fill("000000")
    wide.get_by_role("button", name="Confirm").click()
    expect(wide.get_by_role("alert")).to_contain_text("wrong")
    looked_at(wide, "confirm-wrong")
    wide.get_by_label("Code of your phone").fill(codes[0])
    wide.keyboard.press("Enter")
    wide.wait_for_url(desk)
    expect(wide.get_by_text("Confirmed: you may act on real money")).to_be_visible()
    started(wide)
    expect(wide.get_by_role("dialog")).to_contain_text(re.compile("Not done.*(real money|live)", re.I | re.S))
    wide.keyboard.press("Escape")
    expect(wide.get_by_role("dialog")).to_be_hidden()
    wide.wait_for_load_state("networkidle")  # the desk looks again behind it

    # A key is shown once.
    wide.goto(f"{served.url}/profile/")
    wide.get_by_label("What it is for").fill("reports")
    wide.get_by_label("trade: start and stop bots").check()
    wide.get_by_role("button", name="Make a key").click()
    assert re.fullmatch(r"vbx_[a-z2-7]{8}_[\w-]{43}", wide.locator("#key").inner_text())
    looked_at(wide, "key")
    wide.get_by_role("link", name="I have it").click()
    expect(wide.get_by_role("rowheader", name="reports")).to_be_visible()
    looked_at(wide, "profile-full")

    # The other browser is sent out, and gets in again by password and code.
    wide.get_by_role("button", name="End all others").click()
    expect(wide.get_by_text("1 ended. You are signed in here only.")).to_be_visible()
    phone.goto(f"{served.url}/profile/")
    phone.wait_for_url(re.compile("/sign-in/"))
    looked_at(phone, "sign-in")
    phone.get_by_label("E-mail").fill(KEEPER)
    phone.get_by_label("Password").fill(PASSWORD)
    phone.keyboard.press("Enter")
    phone.get_by_label("Code").fill("123456")
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("alert")).to_contain_text("wrong")
    looked_at(phone, "second-step")
    phone.get_by_label("Code").fill(codes[1])
    phone.keyboard.press("Enter")
    phone.wait_for_url(f"{served.url}/profile/")
    phone.get_by_role("link", name="Remove second factor").click()
    looked_at(phone, "second-factor-remove")


def test_a_link_from_another_site_leads_to_the_page_in_one_more_step(page, served):
    """The cookie of the session is not sent along with a link from elsewhere (SameSite=Strict)."""
    page.route(
        "http://elsewhere.test/",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<link rel="icon" href="data:,"><a href="{served.url}/alerts/">alert</a>'
        ),
    )
    page.goto("http://elsewhere.test/")
    page.get_by_role("link", name="alert").click()
    page.wait_for_url(re.compile("/sign-in/"))
    page.get_by_role("link", name="go on to the page").click()
    page.wait_for_url(f"{served.url}/alerts/")


def test_doors_fit_a_phone_and_the_admin_has_none_of_its_own(browsers, served):
    wide, _ = browsers
    for path, name in (
        ("/sign-in/", "door"),
        ("/password/forgotten/", "forgotten"),
        ("/password/reset/x/y-z/", "reset"),
    ):
        wide.goto(served.url + path)
        looked_at(wide, name)
    wide.goto(f"{served.url}/admin/accounts/user/")
    wide.wait_for_url(re.compile("/sign-in/"))
    wide.get_by_label("E-mail").fill("operator@vibex.local")
    wide.get_by_label("Password").fill(PASSWORD)
    wide.keyboard.press("Enter")
    wide.wait_for_url(f"{served.url}/admin/accounts/user/")
    wide.get_by_role("link", name="beginner@vibex.local").click()
    expect(wide.get_by_label("Role")).to_have_value("trader")
    wide.get_by_label("Role").select_option("viewer")
    wide.get_by_role("button", name="Save", exact=True).click()
    expect(wide.get_by_text("was changed successfully")).to_be_visible()
    wide.goto(f"{served.url}/password/")
    looked_at(wide, "password")
