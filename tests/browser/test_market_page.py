"""The market page in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import sign_in

pytestmark = pytest.mark.browser

MARKET = "/accounts/1/market/"
EVERYTHING = "ema20,ema50,bollinger,rsi14,macd,atr14,adx14,funding"


@pytest.fixture
def market(page, served):
    page.goto(f"{served.url}{MARKET}?symbol=BTCUSDT&interval=3m")
    expect(page.locator("[data-chart] .main-svg").first).to_be_visible()
    return page


def test_candles_volume_and_what_the_account_did_are_drawn(market):
    assert market.locator(".candles .boxlayer path").count() > 100
    assert market.locator(".candles .barlayer path").count() > 100
    for name in ("EMA 20", "Entry long", "Stop", "Target"):
        expect(market.locator(".candles .legendtext", has_text=re.compile(f"^{name}$"))).to_be_visible()
    assert market.locator(".candles .scatterlayer .points path").count() >= 1


@pytest.mark.parametrize("interval", ["1m", "15m", "4h", "1d"])
def test_every_pane_is_drawn_without_a_complaint_even_where_nothing_is_known_yet(page, served, interval):
    page.goto(f"{served.url}{MARKET}?symbol=BTCUSDT&interval={interval}&show={EVERYTHING}")
    expect(page.locator("[data-chart] .main-svg").first).to_be_visible()
    for title in ("RSI 14", "MACD 12/26/9", "ATR 14", "ADX 14", "Funding %"):
        expect(page.locator(".candles .annotation-text", has_text=title)).to_be_visible()


def test_another_symbol_and_other_indicators_come_without_a_reload(market):
    market.evaluate("window.sameDocument = true")
    with market.expect_response(re.compile("figure.*symbol=SOLUSDT")):
        market.get_by_label("Symbol").select_option("SOLUSDT")
    expect(market.get_by_role("heading", name="Prices of SOLUSDT")).to_be_visible()
    expect(market.locator(".candles .legendtext", has_text="Entry short")).to_be_visible()
    with market.expect_response(re.compile("figure.*macd")):
        market.get_by_label("MACD 12/26/9").check()
    expect(market.locator(".candles .annotation-text", has_text="MACD")).to_be_visible()
    assert "symbol=SOLUSDT" in market.url
    assert "show=macd" in market.url
    assert market.evaluate("window.sameDocument")


def test_prices_and_the_forming_candle_move_without_a_reload(market):
    mark = market.locator("#prices tbody tr").nth(3).locator("td").first
    before = mark.inner_text()
    with market.expect_response(re.compile("market/figure/"), timeout=20_000):
        expect(mark).not_to_have_text(before, timeout=20_000)


def test_the_chart_fits_a_phone_and_shows_fewer_candles(market):
    market.set_viewport_size({"width": 390, "height": 844})
    with market.expect_response(re.compile("bars=80")):
        market.reload()
    expect(market.locator("[data-chart] .main-svg").first).to_be_visible()
    assert market.evaluate("document.documentElement.scrollWidth") <= 390
    chart, prices = market.locator("#candles").bounding_box(), market.locator("#prices").bounding_box()
    assert chart["y"] < prices["y"], "prices come right after the chart"


def test_everything_is_reached_by_keyboard(market):
    reached = set()
    for _ in range(40):
        market.keyboard.press("Tab")
        reached.add(market.evaluate("(document.activeElement.name || document.activeElement.textContent).trim()"))
    assert {"symbol", "interval", "show", "Show", "The newest candles as a table", "Market"} <= reached


def test_without_scripts_the_page_shows_prices_and_another_chart_can_be_chosen(chromium, served):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, served.url)
    page.goto(f"{served.url}/accounts/1/")
    page.get_by_role("link", name="Market", exact=True).click()
    expect(page.locator(".chart svg polyline")).to_have_count(1)
    page.get_by_label("Symbol").select_option("ETHUSDT")
    page.locator("select[name=interval]").select_option("15m")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="Prices of ETHUSDT")).to_be_visible()
    page.get_by_text("The newest candles as a table").click()
    expect(page.locator("#candles table tbody tr")).to_have_count(12)
    context.close()
