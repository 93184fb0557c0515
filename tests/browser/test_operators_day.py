"""A day of an operator from end to end: the whole installation as `make up` starts it, a model on loopback, one browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support import model_server
from tests.support.browser import complaints_of, sign_in
from tests.support.tables import tables
from vibex.tests.running import Up

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

SOON = 60_000
"""Milliseconds for what passes through a cycle: market, model, exchange, page."""


@pytest.fixture
def model() -> Iterator[model_server.Model]:
    with model_server.serving() as model:
        yield model


@pytest.fixture
def up(tmp_path: Path, model: model_server.Model) -> Iterator[Up]:
    up = Up(tmp_path / "data", LLM_BASE_URL=model.address, LLM_MODEL="day/model", ASSETS="BTC,ETH")
    tables(up.folder)
    up.start()
    yield up
    up.kill()


@pytest.fixture
def page(chromium: Any, up: Up) -> Iterator[Any]:
    """Return a page of the operator, by the password that the first start told. Fails for anything the browser complains of."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="light")
    page, complaints = context.new_page(), list[str]()
    complaints_of(page, complaints)
    password = re.search(r"Password: +(\S+)", up.wait_for(lambda: up.said.read_text(encoding="utf-8")))
    assert password is not None
    sign_in(page, f"http://127.0.0.1:{up.port}", password=password[1])
    yield page
    context.close()
    assert complaints == []


def decide(page: Any, url: str) -> None:
    """Let the bot decide now, on its own page."""
    page.goto(f"{url}/bots/1/")
    page.get_by_role("button", name="Decide now").click()
    page.wait_for_url(re.compile(r"/cycles/\d+/$"), timeout=SOON)


def test_a_day_of_an_operator(page, up, model, chromium):
    url = f"http://127.0.0.1:{up.port}"

    # A position opens while the desk is looked at, and its result moves, all in the same document.
    desk = page
    desk.goto(f"{url}/accounts/1/")
    expect(desk.locator("#positions")).to_contain_text("Flat: nothing is open.")
    expect(desk.locator("#connection")).to_have_text("live", timeout=SOON)
    desk.evaluate("window.sameDocument = true")
    acting = page.context.new_page()
    model.buys = ("BTCUSDT", 0.02)
    decide(acting, url)
    position = desk.locator("#positions tbody tr").first
    expect(position).to_contain_text("BTCUSDT", timeout=SOON)
    expect(desk.locator("#positions")).to_contain_text("protection verified", timeout=SOON)
    result = position.get_by_role("cell").filter(has=desk.locator("b"))
    before = result.inner_text()
    expect(result).not_to_have_text(before, timeout=SOON)
    assert desk.evaluate("window.sameDocument")
    assert model.asked >= 1

    # The diary says why, is searched, and is taken along.
    acting.goto(f"{url}/accounts/1/diary/?q=momentum+agree")
    expect(acting.locator("#found")).to_contain_text("BTCUSDT is wanted")
    with acting.expect_download() as begun:
        acting.get_by_role("link", name="Export as CSV").click()
    assert "trend and momentum agree" in begun.value.path().read_text()

    # Paused on the desk, started again, and the other window shows it without a reload.
    acting.goto(f"{url}/accounts/1/")
    acting.locator("#bot").get_by_role("button", name="Pause").click()
    expect(desk.locator("#bot .status").first).to_have_text("paused", timeout=SOON)
    acting.locator("#bot").get_by_role("button", name="Start").click()
    expect(desk.locator("#bot .status").first).to_have_text("running", timeout=SOON)

    # Halted: the position is closed, proved flat, and the first window sees it go.
    model.buys = None
    acting.get_by_role("link", name="Halt this account").click()
    dialog = acting.get_by_role("dialog")
    expect(dialog).to_contain_text("BTCUSDT")
    dialog.get_by_role("button", name=re.compile("^Halt")).click()
    expect(desk.locator("#positions")).to_contain_text("Flat: nothing is open.", timeout=SOON)
    expect(acting.get_by_role("alert").filter(has_text="Halted").first).to_be_visible(timeout=SOON)
    acting.goto(f"{url}/accounts/1/")
    expect(acting.get_by_role("alert").filter(has_text="Halted").first).to_contain_text("Proved flat", timeout=SOON)

    # Lifted again, after books and exchange agree.
    acting.locator(".desk-acts").get_by_role("link", name="Let it trade again").click()
    dialog = acting.get_by_role("dialog")
    dialog.get_by_label("Why").fill("seen and understood")
    dialog.get_by_role("button", name="Let it trade again").click()
    dialog.get_by_role("link", name="Back to the desk").click(timeout=SOON)
    expect(acting.get_by_text("May open positions")).to_be_visible(timeout=SOON)
    expect(desk.get_by_text("May open positions")).to_be_visible(timeout=SOON)

    # From now on the bot asks first: it is stopped, changed in the admin, a limit beside it, and started again.
    acting.locator("#bot").get_by_role("link", name="Stop").click()
    dialog.get_by_role("button", name=re.compile("^Stop")).click()
    dialog.get_by_role("link", name="Back to the desk").click(timeout=SOON)
    expect(desk.locator("#bot .status").first).to_have_text("stopped", timeout=SOON)
    acting.goto(f"{url}/admin/accounts/bot/1/change/")
    acting.locator("#id_approval").check()
    acting.get_by_role("button", name="Save", exact=True).click()
    expect(acting.get_by_text("was changed successfully")).to_be_visible()
    acting.goto(f"{url}/admin/accounts/account/1/change/")
    acting.get_by_role("heading", name="Pace and pauses").click()
    acting.locator("#id_limits-0-opens_per_hour").fill("5")
    acting.get_by_role("button", name="Save and continue editing").click()
    expect(acting.get_by_text("At most 5 entries an hour and 30 in 24 h.")).to_be_visible()

    acting.goto(f"{url}/accounts/1/")
    acting.locator("#bot").get_by_role("button", name="Start").click()
    expect(desk.locator("#bot .status").first).to_have_text("running", timeout=SOON)

    # What it wants waits on the desk, is approved there, and opens.
    model.buys = ("ETHUSDT", 0.5)
    decide(acting, url)
    expect(desk.locator("#approvals")).to_contain_text("ETHUSDT", timeout=SOON)
    desk.get_by_role("button", name="Approve").click()
    expect(desk.locator(".message")).to_contain_text("ETHUSDT: Approved", timeout=SOON)
    expect(desk.locator("#positions")).to_contain_text("ETHUSDT", timeout=SOON)

    # And all of it on a phone, in the dark.
    phone = chromium.new_context(
        viewport={"width": 360, "height": 740}, color_scheme="dark", storage_state=page.context.storage_state()
    ).new_page()
    phone.goto(f"{url}/accounts/1/")
    expect(phone.locator("#positions")).to_contain_text("ETHUSDT")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    phone.context.close()
