"""A backtest as one HTML file: complete in itself, the same bytes, and nothing in it that somebody else wrote is markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs

from marketdata.recorded_market import RecordedMarket
from trading.services.backtest import Backtest, BacktestPlan, backtest_run
from trading.services.backtest import page as pages
from trading.services.backtest.baselines import Baselines, baselines_run
from trading.services.backtest.figures import MOST_MARKS, MOST_POINTS
from trading.services.backtest.judged import Judged, judge
from trading.services.backtest.page import page_of
from trading.tests.backtest_kit import after, market_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e"
PLAN = BacktestPlan(
    ("BTCUSDT", "ETHUSDT"), after(60), after(460), interval="5m", timeframes=("5m",), model="rules/cross", capital=Decimal(20_000)
)  # fmt: skip
LOADING = {"src", "href", "action", "data", "poster", "srcset"}


class Elements(HTMLParser):
    """Collects tags with their attributes, and the text of what is no script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def market() -> RecordedMarket:
    return market_of(3, 470)


@pytest.fixture(scope="module")
def backtest(market: RecordedMarket) -> Backtest:
    return backtest_run(plan=PLAN, market=market, notes=(f"left out: {HOSTILE}",))


@pytest.fixture(scope="module")
def baselines(backtest: Backtest, market: RecordedMarket) -> Baselines:
    return baselines_run(backtest, market=market, seeds=3)


@pytest.fixture(scope="module")
def judged(backtest: Backtest, baselines: Baselines) -> Judged:
    return judge(backtest, baselines=baselines, trials=7)


@pytest.fixture(scope="module")
def html(backtest: Backtest, judged: Judged, market: RecordedMarket) -> str:
    return page_of(backtest, judged, market=market)


def own(html: str) -> str:
    """Return the page without plotly."""
    return html.replace(get_plotlyjs(), "")


def test_it_is_one_file_that_asks_nobody_for_anything(html):
    assert get_plotlyjs() in html
    tags = Elements(own(html)).tags
    loaded = [(tag, name, value) for tag, attrs in tags for name, value in attrs.items() if name in LOADING]
    assert loaded == [("link", "href", "data:,")]
    assert not re.search(r"https?://|@import|url\(", own(html))
    policy = next(attrs["content"] for tag, attrs in tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_what_others_wrote_is_text_and_what_cannot_be_seen_is_named(backtest, judged, market, html):
    assert HOSTILE not in html
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html
    assert "⟦U+202E⟧" in html
    kept = backtest.journal.closed[0]
    said = replace(kept.ruling, proposal=replace(kept.ruling.proposal, justification=HOSTILE))
    hostile = replace(
        backtest,
        plan=replace(PLAN, model=f"openrouter/{HOSTILE}"),
        journal=replace(backtest.journal, closed=[replace(kept, ruling=said)], incidents={("odd", HOSTILE): {}}),
    )
    page = page_of(hostile, replace(judged, plan=hostile.plan), market=market)
    scripts = [tag for tag, _ in Elements(own(page)).tags if tag in ("script", "img")]
    assert scripts == ["script"] * 3  # the figures, plotly's and the report's own
    assert HOSTILE not in page


@pytest.mark.ci
def test_the_same_run_gives_the_same_bytes_with_the_jump_and_without(backtest, judged, market, html):
    assert page_of(backtest, judged, market=market) == html
    slow = backtest_run(plan=replace(PLAN, jump=False), market=market, notes=backtest.notes[:1])
    again = judge(slow, baselines=baselines_run(slow, market=market, seeds=3), trials=7)
    assert page_of(slow, again, market=market) == html


def test_every_chart_has_its_figure_and_no_line_differs_by_colour_alone(html, backtest):
    tags = Elements(own(html)).tags
    places = [attrs["data-figure"] for _, attrs in tags if "data-figure" in attrs]
    figures = json.loads(re.search(r'<script id="figures" type="application/json">(.*?)</script>', own(html), re.S)[1])
    assert set(places) == set(figures)
    assert {"equity", "drawdown", "returns", "random", "calibration", "price-BTCUSDT"} <= set(places)
    lines = [trace for trace in figures["equity"]["data"] if trace["line"]["width"]]
    looks = {(trace["line"]["dash"], trace["line"]["width"]) for trace in lines if "dash" in trace["line"]}
    assert len(looks) == len([trace for trace in lines if "dash" in trace["line"]])
    assert all(len(trace["x"]) <= MOST_POINTS for figure in figures.values() for trace in figure["data"])
    marks = [trace for trace in figures["price-BTCUSDT"]["data"] if trace["mode"] == "markers"]
    assert len({trace["marker"]["symbol"] for trace in marks}) == len(marks)
    entered = sum(len(trace["x"]) for trace in marks if trace["name"].startswith("Entry"))
    mine = [*backtest.journal.closed, *backtest.journal.open.values()]
    assert entered == sum(kept.booked.symbol == "BTCUSDT" for kept in mine) <= MOST_MARKS


def test_figures_say_what_the_judgement_says(html, judged, backtest):
    for word in (
        "Deflated Sharpe ratio",
        "Days still needed",
        "buy and hold",
        "equal weight",
        "momentum",
        "random, 3 seeds",
    ):
        assert word in html
    assert "7 trials counted" in html
    assert "20,000" in html
    assert judged.stamp.text in html.replace("&#x27;", "'")
    for kept in backtest.journal.closed:
        assert f"{kept.booked.net:+,.2f}".replace("-", "−") in html


def test_the_first_positions_are_listed_and_the_others_counted(monkeypatch, backtest, judged, market):
    count = len(backtest.journal.closed) + len(backtest.journal.open)
    monkeypatch.setattr(pages, "MOST_TRADES", 2)
    page = page_of(backtest, judged, market=market)
    assert "All positions, the first 2" in page
    assert f"{count - 2} more are left out here." in page


def test_a_run_without_a_trade_has_a_page_too(market):
    run = backtest_run(plan=replace(PLAN, model="rules/hold"), market=market)
    page = page_of(run, judge(run, baselines=baselines_run(run, market=market)), market=market)
    assert "Nothing was opened." in page
    assert 'data-figure="calibration"' not in page
    assert 'data-figure="random"' not in page
