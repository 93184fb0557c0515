"""A backtest as one HTML file that asks nobody for anything: charts, figures, baselines, funnel, attribution, trades.

Everything is inside: the style sheet, the script that draws, and plotly. The same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from decisions.domain.visible import visible
from marketdata.recorded_market import RecordedMarket
from trading.domain.attribution import By
from trading.domain.regimes import RULE
from trading.services.backtest import figures
from trading.services.backtest.baselines import RANDOM
from trading.services.backtest.judged import Judged
from trading.services.backtest.judged_words import conventions, repeats
from trading.services.backtest.origin import code_of, data_of
from trading.services.backtest.page_rows import (
    MOST_TEXT,
    attributed,
    bars_of,
    baselines_of,
    calibration_of,
    cards_of,
    listed,
    regimes_of,
    settings_of,
    trade_of,
    words_of,
)
from trading.services.backtest.report import report_of
from trading.services.backtest.run import Backtest

TEMPLATE: Final = "backtest/report.html"
MOST_TRADES: Final = 2_000
DIMENSIONS: Final = {
    By.SYMBOL: "By symbol",
    By.SIDE: "By side",
    By.HOUR: "By hour of opening (UTC)",
    By.HELD: "By holding time",
    By.SIGNAL: "By signal",
    By.MODEL: "By decider",
    By.EXIT: "By how it ended",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its heading and what is to be said of it."""

    key: str
    title: str
    note: str
    figure: Mapping[str, Any]
    low: bool = False
    """Whether it needs less height."""


def page_of(backtest: Backtest, judged: Judged, *, market: RecordedMarket) -> str:
    """Return the report as the text of one HTML file of about 5 MB, most of which is plotly."""
    from plotly.offline import get_plotlyjs  # slow to import, and needed nowhere else

    charts = _charts(backtest, judged)
    prices = [
        Chart(f"price-{symbol}", symbol, _thinned(count), figure, low=True)
        for symbol, count, figure in figures.price_figures(backtest, market)
    ]
    drawn = {chart.key: chart.figure for chart in (*charts.values(), *prices)}
    return render_to_string(
        TEMPLATE,
        {
            "plotly": mark_safe(get_plotlyjs()),  # noqa: S308  # a file of the package
            "figures": drawn,
            "charts": charts,
            "prices": prices,
            **_context(backtest, judged, market),
        },
    )


def _context(backtest: Backtest, judged: Judged, market: RecordedMarket) -> dict[str, Any]:
    plan, report = backtest.plan, report_of(backtest)
    closed = backtest.journal.closed
    return {
        "plan": plan,
        "capital": f"{plan.capital:,f}",
        "decider": visible(plan.model)[:MOST_TEXT],
        "judged": judged,
        "market": backtest.market,
        "cards": list(cards_of(judged)),
        "words": words_of(judged),
        "baselines": list(baselines_of(judged)),
        "random": RANDOM,
        "repeats": repeats(judged.repeats) if judged.repeats else "",
        "funnels": [bars_of(judged.decided.funnel.replies), bars_of(judged.decided.funnel.symbols)],
        "reduced": listed(judged.decided.reduced),
        "attribution": [(title, attributed(judged, by)) for by, title in DIMENSIONS.items()],
        "calibration": calibration_of(judged),
        "regimes": list(regimes_of(judged)),
        "regime_rule": RULE,
        "trades": [trade_of(kept) for kept in (*closed, *backtest.journal.open.values())[:MOST_TRADES]],
        "trades_left_out": max(0, len(closed) + len(backtest.journal.open) - MOST_TRADES),
        "incidents": [visible(text) for text in report["incidents"]],
        "notes": [visible(text) for text in backtest.notes],
        "settings": list(settings_of(report["plan"], judged)),
        "limits": [
            (name, str(value), str(getattr(judged.baselines.limits, name)))
            for name, value in asdict(plan.limits).items()
        ],
        "data": data_of(market, plan.symbols),
        "code": code_of(),
        "conventions": conventions(judged),
    }


# -- charts ------------------------------------------------------------------------------------------------


def _charts(backtest: Backtest, judged: Judged) -> dict[str, Chart]:
    told = [
        Chart(
            "equity",
            "Net equity beside the baselines",
            "In per cent of the capital. The bands hold half and nine tenths of the entries at random.",
            figures.equity_figure(judged),
        ),
        Chart("drawdown", "Drawdown", "Below the peak so far.", figures.drawdown_figure(backtest, judged), low=True),
        Chart("returns", "Returns", _of_periods(judged), figures.returns_figure(judged), low=True),
        Chart(
            "random",
            "Beside entries at random",
            "How many seeds came to which return.",
            figures.random_figure(judged),
            low=True,
        ),
        Chart(
            "calibration",
            "Stated confidence and what came of it",
            "Each point has its number of trades and its 95 % interval (Wilson); on the dashed line both are the same.",
            figures.calibration_figure(judged),
            low=True,
        ),
    ]
    return {chart.key: chart for chart in told if chart.figure["data"]}


def _of_periods(judged: Judged) -> str:
    many = len(judged.grid.marks) - 1 > figures.MOST_BARS
    return f"Of {'months' if many else judged.grid.named}, net."


def _thinned(count: int) -> str:
    most = figures.MOST_MARKS
    return f"{count:,} positions" + (f", {most} of them drawn, evenly spread" if count > most else "")
