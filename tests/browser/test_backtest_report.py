"""The report of a real month in a real browser: no complaint, nothing asked of anybody, readable on a phone and on paper."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from marketdata.recorded_market import RecordedMarket
from marketdata.venues.recorded import read_folder
from tests.support.browser import complaints_of
from trading.services.backtest import BacktestPlan, backtest_run
from trading.services.backtest.baselines import baselines_run
from trading.services.backtest.judged import judge
from trading.services.backtest.page import page_of

pytestmark = pytest.mark.browser
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "BNBUSDT")
PLAN = BacktestPlan(SYMBOLS, datetime(2025, 9, 15, tzinfo=UTC), datetime(2025, 10, 15, tzinfo=UTC))


@pytest.fixture(scope="module")
def report(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return where the report of a real month lies."""
    folder = read_folder(shared_data / "candles" / "binance_um_2025_1h", SYMBOLS)
    market = RecordedMarket(folder.recordings.values(), timeframes=PLAN.timeframes)
    backtest = backtest_run(plan=PLAN, market=market)
    judged = judge(backtest, baselines=baselines_run(backtest, market=market, seeds=5), trials=3)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page_of(backtest, judged, market=market), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(report, chromium):
    """Open the report; afterwards nothing was complained of and nobody was asked for anything."""
    contexts, complaints, asked = [], [], []

    def page_with(**how):
        context = chromium.new_context(**how)
        contexts.append(context)
        page = context.new_page()
        complaints_of(page, complaints)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report)
        page.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
        return page

    yield page_with
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_chart_is_drawn_and_nothing_lies_beside_the_page(opened, width, theme):
    page = opened(viewport={"width": width, "height": 900}, color_scheme=theme)
    charts = page.locator("[data-figure]")
    assert charts.count() == 5 + len(SYMBOLS)
    assert page.locator("[data-figure] .main-svg").count() >= charts.count()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ground = page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
    assert ground == {"dark": "rgb(18, 25, 32)", "light": "rgb(255, 255, 255)"}[theme]
    drawn = page.evaluate("document.querySelector('[data-figure=equity] .main-svg').style.background")
    assert drawn == ground


def test_colours_follow_the_theme_and_paper_is_white_with_everything_open(opened):
    page = opened(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    line = page.locator("[data-figure=drawdown] .js-line").first
    dark = line.evaluate("line => getComputedStyle(line).stroke")
    page.emulate_media(color_scheme="light")
    expect(line).not_to_have_css("stroke", dark)
    page.emulate_media(color_scheme="dark", media="print")
    page.wait_for_selector("html.paper")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details:not([open])").count() == 0
    assert len(page.pdf()) > 50_000


def test_a_fold_opens_by_keyboard_and_shows_every_position(opened):
    page = opened(viewport={"width": 1280, "height": 900})
    fold = page.locator("summary", has_text="All positions")
    fold.focus()
    page.keyboard.press("Enter")
    assert page.locator("details[open] tbody th[scope=row]").count() >= 60
