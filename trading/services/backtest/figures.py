"""The charts of a backtest's report as plotly figures: plain JSON values.

Colours are named, not given: `meta.tone` of a trace is a colour of the report's style sheet, so that both themes and paper
fit. No two lines differ by colour alone: each has a dash or a symbol of its own. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from marketdata.recorded_market import RecordedMarket
from trading.domain.drawdowns import below_peak
from trading.domain.ratios import returns_of
from trading.services.backtest.judged import Judged
from trading.services.backtest.run import Backtest
from trading.services.backtest.sampled import MILLISECOND, costs_of, every_equity
from trading.services.journal.kept import KeptPosition
from vibex.lib.clock import from_ms, to_ms

type Figure = dict[str, Any]

MOST_POINTS: Final = 1_200
"""Of a line: more cannot be seen."""
MOST_MARKS: Final = 400
"""Trades that are drawn on a price."""
MOST_SYMBOLS: Final = 12
BAR: Final = 0.75
"""Width of a bar as a share of its period: plotly's own would be that between two bars of a kind."""
MONTH_MS: Final = 28 * 86_400_000
MOST_BARS: Final = 92
"""Periods that are drawn one by one; more are drawn by months."""
LINES: Final = {
    "cash": ("muted", "longdash"),
    "buy and hold": ("line-2", "dash"),
    "equal weight": ("line-3", "dashdot"),
    "momentum": ("line-4", "dot"),
}
"""Tone and dash of each baseline. The bot replaced by hold lies on cash: it is in the table alone."""
TIME_LABELS: Final = [
    {"dtickrange": [None, 43_200_000], "value": "%H:%M, %d %b"},
    {"dtickrange": [43_200_001, 2_400_000_000], "value": "%d %b"},
    {"dtickrange": ["M1", None], "value": "%b %Y"},
]
"""How the time axis is labelled, in one line: ticks up to 12 hours, below a month, wider."""
EXITS: Final = {"stop": ("Left by stop", "x", "loss"), "target": ("Left by target", "diamond", "gain")}
"""Name, symbol and tone of how a position ended; everything else is "left"."""


def equity_figure(judged: Judged) -> Figure:
    """Return equity in per cent of the start beside the baselines, and the fan of entries at random."""
    x = _times(judged.grid.marks)
    fan = {at: _percent(line) for at, line in judged.baselines.random.fan}
    data: list[Figure] = []
    if fan:
        lows = [at for at in fan if at < 0.5]
        for low in lows:
            data += _band(x, fan[low], fan[1 - low], f"{1 - 2 * low:.0%} of random entries")
        data.append(_line("random, median", x, fan[0.5], "fan-line", "solid", width=1.0))
    for each in judged.against:
        if each.baseline.kind.name in LINES:
            tone, dash = LINES[each.baseline.kind.name]
            data.append(_line(each.baseline.kind.name, x, _percent(each.baseline.ran.equity), tone, dash))
    data.append(_line("this bot", x, _percent(judged.equity), "accent", "solid", width=2.75))
    return _figure(data, suffix=" %", span=(judged.plan.start, judged.plan.end))


def drawdown_figure(backtest: Backtest, judged: Judged) -> Figure:
    """Return by how much equity lay below its peak, in per cent, beside buy and hold."""
    times, equity = every_equity(backtest, costs_of(backtest))
    lost = -100 * below_peak(equity)
    places = _deepest_of(lost)
    own = _line("this bot", _times(times[place] for place in places), _rounded(lost[places]), "loss", "solid")
    held = judged.baselines.of("buy and hold").equity
    beside = _line("buy and hold", _times(judged.grid.marks), _rounded(-100 * below_peak(held)), "line-2", "dash")
    return _figure(
        [{**own, "fill": "tozeroy", "meta": {"tone": "loss", "fill": "loss-soft"}}, beside],
        suffix=" %",
        span=(judged.plan.start, judged.plan.end),
    )


def returns_figure(judged: Judged) -> Figure:
    """Return the return of each period, or of each month where there are many, beside buy and hold."""
    marks, ours = judged.grid.marks, returns_of(judged.equity)
    theirs = returns_of(judged.baselines.of("buy and hold").equity)
    x, width = _times(marks[:-1]), BAR * (judged.grid.period / MILLISECOND)
    if len(x) > MOST_BARS:
        months = np.array([mark.strftime("%Y-%m") for mark in marks[:-1]])
        names = np.unique(months)
        ours, theirs = (np.array([np.prod(1 + side[months == name]) - 1 for name in names]) for side in (ours, theirs))
        x, width = [f"{name}-01T00:00:00" for name in names.tolist()], BAR * MONTH_MS
    bars = [
        {
            "type": "bar", "name": name, "x": [at for at, kept in zip(x, there, strict=True) if kept],
            "y": _rounded(100 * ours[there]), "meta": {"tone": tone}, "hovertemplate": f"%{{y:+.2f}} %<extra>{name}</extra>", "width": width,
        }
        for name, tone, there in (("gain", "gain", ours >= 0), ("loss", "loss", ours < 0))
        if there.any()
    ]  # fmt: skip
    beside = _points("buy and hold", x, _rounded(100 * theirs), "line-2", "diamond-open", 6)
    return _figure([*bars, beside], suffix=" %", barmode="overlay")


def random_figure(judged: Judged) -> Figure:
    """Return how the returns of entries at random are spread, with the bot's own return as a line."""
    drawn = judged.baselines.random.returned
    if not drawn:
        return _figure([])
    counts, edges = np.histogram(100 * np.array(drawn), bins=min(24, max(6, len(drawn) // 4)))
    middles = (edges[:-1] + edges[1:]) / 2
    bars = {
        "type": "bar", "name": "random seeds", "x": _rounded(middles), "y": counts.tolist(), "meta": {"tone": "fan-line"},
        "width": float(f"{edges[1] - edges[0]:.6g}"), "hovertemplate": "%{y} seeds near %{x:+.2f} %<extra></extra>",
    }  # fmt: skip
    own = float(f"{100 * judged.ran.returned:.6g}")
    line = _line("this bot", [own, own], [0, int(counts.max())], "accent", "solid", width=2.75)
    figure = _figure([bars, {**line, "hovertemplate": "this bot %{x:+.2f} %<extra></extra>"}])
    low, high = min(own, float(edges[0])), max(own, float(edges[-1]))
    figure["layout"]["xaxis"] = {
        "range": _rounded((low - 0.04 * (high - low), high + 0.04 * (high - low))),
        "type": "linear",
        "ticksuffix": " %",
        "showgrid": False,
        "fixedrange": True,
        "nticks": 7,
    }
    figure["layout"]["hovermode"] = "closest"
    return figure


def calibration_figure(judged: Judged) -> Figure:
    """Return how often trades won beside how sure the decider said it was; no trace where nothing was stated.

    The dashed line is where both are the same.
    """
    buckets = judged.measured.trades.calibration.buckets
    if not buckets:
        return _figure([])
    shares = [bucket.hits.value or 0.0 for bucket in buckets]
    own = _points("trades", _rounded(bucket.stated for bucket in buckets), _rounded(shares), "accent", "circle", 9)
    own |= {
        "mode": "markers+text", "text": [f"{bucket.hits.whole}" for bucket in buckets], "textposition": "middle right",
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 4,
            "array": _rounded(bucket.hits.high - share for bucket, share in zip(buckets, shares, strict=True)),
            "arrayminus": _rounded(share - bucket.hits.low for bucket, share in zip(buckets, shares, strict=True)),
        },
        "hovertemplate": "said %{x:.2f}, won %{y:.2f}, %{text} trades<extra></extra>",
    }  # fmt: skip
    ideal = _line("as stated", [0, 1], [0, 1], "muted", "dash", width=1.0)
    figure = _figure([ideal, own])
    figure["layout"] |= {
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": {
            "type": "linear",
            "range": [0, 1.04],
            "title": {"text": "stated confidence", "standoff": 4},
            "fixedrange": True,
        },
    }
    figure["layout"]["yaxis"] |= {"range": [0, 1.04], "title": {"text": "share that won"}}
    return figure


def price_figures(backtest: Backtest, market: RecordedMarket) -> Iterator[tuple[str, int, Figure]]:
    """Yield by symbol how many positions it had, and its price with where they began and ended, thinned out evenly."""
    kept = [*backtest.journal.closed, *backtest.journal.open.values()]
    for symbol in backtest.plan.symbols[:MOST_SYMBOLS]:
        mine = [each for each in kept if each.booked.symbol == symbol]
        if mine:
            yield symbol, len(mine), _price_figure(backtest, market, symbol, mine)


# -- parts -------------------------------------------------------------------------------------------------


def _price_figure(backtest: Backtest, market: RecordedMarket, symbol: str, kept: Sequence[KeptPosition]) -> Figure:
    candles = market.series(symbol).candles
    first, last = (int(candles.open_time.searchsorted(to_ms(at))) for at in (backtest.plan.start, backtest.plan.end))
    places = _evenly(last - first, MOST_POINTS) + first
    x = _times(from_ms(at) for at in candles.open_time[places].tolist())
    shown = [kept[place] for place in _evenly(len(kept), MOST_MARKS).tolist()]
    line = _line("price (open of candles)", x, candles.open[places].tolist(), "muted", "solid")
    return _figure([line, *_marks(shown)], span=(backtest.plan.start, backtest.plan.end))


def _marks(kept: Sequence[KeptPosition]) -> Iterator[Figure]:
    for side, name, symbol, tone in (
        ("long", "Entry long", "triangle-up", "gain"),
        ("short", "Entry short", "triangle-down", "loss"),
    ):
        entries = [each.booked for each in kept if each.booked.side.value == side]
        if entries:
            prices = _rounded(float(booked.entry_price) for booked in entries)
            yield _points(name, _times(booked.opened_at for booked in entries), prices, tone, symbol, 11)
    for reason in (*EXITS, ""):
        name, symbol, tone = EXITS.get(reason, ("Left otherwise", "circle", "text"))
        left = [each.booked for each in kept if each.booked.closed_at and _exit(each) == reason]
        if left:
            prices = _rounded(float(booked.exit_price or 0) for booked in left)
            at = _times(booked.closed_at for booked in left if booked.closed_at)
            yield _points(name, at, prices, tone, symbol, 8)


def _exit(kept: KeptPosition) -> str:
    return kept.exit_reason if kept.exit_reason in EXITS else ""


def _band(x: list[str], low: list[float], high: list[float], name: str) -> list[Figure]:
    edge: Figure = {
        "type": "scatter", "mode": "lines", "x": x, "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False,
        "meta": {"tone": "fan-line"},
    }  # fmt: skip
    filled = {"fill": "tonexty", "showlegend": True, "meta": {"tone": "fan-line", "fill": "fan"}}
    return [{**edge, "name": name, "y": low}, {**edge, "name": name, "y": high, **filled}]


def _line(name: str, x: Sequence[Any], y: Sequence[float], tone: str, dash: str, *, width: float = 1.75) -> Figure:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": list(x), "y": list(y), "line": {"width": width, "dash": dash},
        "meta": {"tone": tone}, "hovertemplate": "%{y:,.5~g}",
    }  # fmt: skip


def _points(name: str, x: Sequence[Any], y: Sequence[float], tone: str, symbol: str, size: int) -> Figure:
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": list(x), "y": list(y),
        "marker": {"symbol": symbol, "size": size, "line": {"width": 1}}, "meta": {"tone": tone},
        "hovertemplate": f"{name} %{{y:,.6~g}}<extra></extra>",
    }  # fmt: skip


def _figure(
    data: Iterable[Figure], *, suffix: str = "", span: tuple[datetime, datetime] | None = None, **layout: Any
) -> Figure:
    """Return a figure over an axis of time, which shows all of `span`."""
    return {
        "data": list(data),
        "layout": {
            "margin": {"l": 8, "r": 62, "t": 8, "b": 24},
            "showlegend": True,
            "legend": {"orientation": "h", "x": 0, "yanchor": "top"},
            "hovermode": "x unified",
            "bargap": 0.25,
            "xaxis": {
                "type": "date", "showgrid": False, "zeroline": False, "fixedrange": True, "nticks": 6, "tickangle": 0,
                "tickformatstops": TIME_LABELS, **({"range": _times(span)} if span else {}),
            },
            "yaxis": {
                "side": "right", "ticksuffix": suffix, "tickformat": ",~g", "fixedrange": True,
                "nticks": 6, "zeroline": True, "zerolinewidth": 1, "automargin": True,
            },
            **layout,
        },
    }  # fmt: skip


def _times(moments: Iterable[datetime]) -> list[str]:
    return [at.replace(tzinfo=None).isoformat(timespec="seconds") for at in moments]


def _percent(equity: Sequence[float]) -> list[float]:
    """Return equity as a result in per cent of where it began."""
    return _rounded(100 * (value / equity[0] - 1) for value in equity)


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return at most so many places of a series, evenly spread, its first and its last among them."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).round().astype(np.int64))


def _deepest_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of the deepest value of each of MOST_POINTS parts, so that no fall is left out."""
    parts = np.array_split(np.arange(values.size), min(values.size, MOST_POINTS))
    return np.array([part[values[part].argmin()] for part in parts], dtype=np.int64)
