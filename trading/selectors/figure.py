"""The market chart as a plotly figure: plain JSON values, panes one below the other on one axis of time.

Colours are named, not given: `meta.tone` of a trace is a colour of the style sheet, so that both themes fit.
Times are wall times of the reader's zone, because plotly knows no zones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone

from marketdata.domain.intervals import interval_ms
from trading.selectors.curve import TIME_LABELS
from vibex.lib.clock import from_ms

if TYPE_CHECKING:
    from marketdata.domain.candles import Candles
    from trading.selectors.chart import Chart, Holding, Mark

type Trace = dict[str, Any]

PRICES: Final = "y"
VOLUME: Final = "y2"
HEIGHTS: Final = {PRICES: 5.0, VOLUME: 0.9}
"""Shares of the height; every other pane has OTHER_PANE."""
OTHER_PANE: Final = 1.5
GAP: Final = 0.022

OVERLAYS: Final = {
    "ema20": (("EMA 20", "ema20", "accent", "solid"),),
    "ema50": (("EMA 50", "ema50", "warn", "solid"),),
    "bollinger": (
        ("Bollinger 20/2", "bb_upper", "muted", "dot"),
        ("Bollinger middle", "bb_middle", "muted", "dot"),
        ("Bollinger lower", "bb_lower", "muted", "dot"),
    ),
}
"""Lines over the prices: name (the first one stands in the legend), indicator, colour, dash."""

PANES: Final = {
    "rsi14": ("RSI 14", (("RSI 14", "rsi14", "accent", "solid"),), (30.0, 70.0)),
    "macd": (
        "MACD 12/26/9",
        (("MACD", "macd", "accent", "solid"), ("Signal", "macd_signal", "warn", "solid")),
        (0.0,),
    ),
    "atr14": ("ATR 14", (("ATR 14", "atr14", "accent", "solid"),), ()),
    "adx14": ("ADX 14", (("ADX 14", "adx14", "accent", "solid"),), (20.0,)),
    "funding": ("Funding %", (), (0.0,)),
}
"""Panes of their own: title, lines, levels that are drawn across."""

MARKS: Final = {
    "entry-long": ("Entry long", "triangle-up", "gain", 13),
    "entry-short": ("Entry short", "triangle-down", "loss", 13),
    "stop": ("Stop hit", "x", "loss", 10),
    "target": ("Target hit", "diamond", "gain", 11),
    "close": ("Closed", "circle", "text", 9),
}
"""What the account did: name, symbol, colour, size."""


def figure_of(chart: Chart) -> Trace:
    """Return a chart as data and layout. A chart without candles has no data."""
    panes = [name for name in chart.show if name in PANES]
    axes = {name: f"y{index}" for index, name in enumerate(panes, 3)}
    data = [*_prices(chart), *_marks(chart.marks), *_levels(chart)]
    for name in panes:
        data += _pane(chart, name, axes[name])
    return {"data": data if chart.count else [], "layout": _layout(chart, axes)}


def local(at: datetime) -> str:
    """Return a moment as the clock of the reader shows it."""
    return timezone.localtime(at).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _prices(chart: Chart) -> Iterator[Trace]:
    yield _candles(chart.closed, "candles", chart.symbol)
    if len(chart.forming):
        yield _candles(chart.forming, "forming", "forming")
    for key in chart.show:
        for index, line in enumerate(OVERLAYS.get(key, ())):
            yield {**_line(chart, line, PRICES), "showlegend": index == 0}
    both = [*chart.closed.volume.tolist(), *chart.forming.volume.tolist()]
    yield {
        "type": "bar", "name": "Volume", "x": _times(chart.closed) + _times(chart.forming), "y": both, "yaxis": VOLUME,
        "marker": {"opacity": 0.55}, "meta": {"tone": "muted"}, "showlegend": False,
        "width": 0.65 * interval_ms(chart.interval), "hovertemplate": "volume %{y:,.3~f}<extra></extra>",
    }  # fmt: skip


def _candles(candles: Candles, tone: str, name: str) -> Trace:
    columns = {column: getattr(candles, column).tolist() for column in ("open", "high", "low", "close")}
    return {
        "type": "candlestick", "name": name, "x": _times(candles), **columns, "yaxis": PRICES, "meta": {"tone": tone},
        "showlegend": False, "line": {"width": 1},
    }  # fmt: skip


def _line(chart: Chart, line: tuple[str, str, str, str], axis: str) -> Trace:
    name, indicator, tone, dash = line
    form = f",.{chart.places}f" if axis == PRICES else ",.4~g"
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": _times(chart.closed), "yaxis": axis,
        "y": [None if math.isnan(value) else value for value in chart.indicators[indicator].tolist()],
        "line": {"width": 1.25, "dash": dash}, "meta": {"tone": tone}, "showlegend": False,
        "hovertemplate": f"{name} %{{y:{form}}}<extra></extra>",
    }  # fmt: skip


def _marks(marks: Iterable[Mark]) -> Iterator[Trace]:
    listed = list(marks)
    for kind, (name, symbol, tone, size) in MARKS.items():
        mine = [mark for mark in listed if mark.kind == kind]
        if mine:
            yield {
                "type": "scatter", "mode": "markers", "name": name, "x": [local(mark.at) for mark in mine],
                "y": [float(mark.price) for mark in mine], "text": [mark.text for mark in mine], "yaxis": PRICES,
                "marker": {"symbol": symbol, "size": size, "line": {"width": 1.5}}, "meta": {"tone": tone},
                "hovertemplate": "%{text}<extra></extra>",
            }  # fmt: skip


def _levels(chart: Chart) -> Iterator[Trace]:
    """Yield entry, stop and target of every position as lines over its life."""
    for name, tone, dash in (("Entry price", "text", "dot"), ("Stop", "loss", "dash"), ("Target", "gain", "dash")):
        x, y = _segments(chart, [(each, _level(each, name)) for each in chart.holdings])
        if x:
            yield {
                "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "yaxis": PRICES,
                "line": {"width": 1.5, "dash": dash}, "meta": {"tone": tone}, "hoverinfo": "skip",
            }  # fmt: skip


def _level(holding: Holding, name: str) -> Decimal | None:
    return {"Entry price": holding.entry, "Stop": holding.stop, "Target": holding.target}[name]


def _segments(
    chart: Chart, levels: Sequence[tuple[Holding, Decimal | None]]
) -> tuple[list[str | None], list[float | None]]:
    x: list[str | None] = []
    y: list[float | None] = []
    for holding, level in levels:
        if level is not None:
            x += [local(max(holding.since, chart.begins)), local(holding.until or chart.ends), None]
            y += [float(level), float(level), None]
    return x, y


def _pane(chart: Chart, name: str, axis: str) -> list[Trace]:
    """Return the traces of a pane, at least an unseen one: plotly cannot draw a pane without any value."""
    traces = list(_values(chart, name, axis))
    if all(value is None for trace in traces for value in trace["y"]):
        unseen = {"mode": "markers", "opacity": 0, "hoverinfo": "skip", "showlegend": False, "meta": {"tone": "muted"}}
        x = [local(chart.begins), local(chart.ends)]
        traces.append({"type": "scatter", "x": x, "y": [0.0, 0.0], "yaxis": axis, "name": "", "marker": {}, **unseen})
    return traces


def _values(chart: Chart, name: str, axis: str) -> Iterator[Trace]:
    for line in PANES[name][1]:
        yield _line(chart, line, axis)
    if name == "macd":
        histogram = [None if math.isnan(value) else value for value in chart.indicators["macd_hist"].tolist()]
        yield _bars(chart, "Histogram", _times(chart.closed), histogram, axis, "%{y:,.4~g}")
    if name == "funding":
        rates = [float(rate) * 100 for _, rate in chart.funding]
        yield _bars(chart, "Funding", [local(at) for at, _ in chart.funding], rates, axis, "%{y:.4f} %")


def _bars(chart: Chart, name: str, x: list[str], y: list[float | None] | list[float], axis: str, form: str) -> Trace:
    """Return bars as wide as a candle: plotly's own width would fill the gap between two settlements."""
    return {
        "type": "bar", "name": name, "x": x, "y": y, "yaxis": axis, "showlegend": False, "meta": {"tone": "muted"},
        "hovertemplate": f"{name} {form}<extra></extra>", "marker": {"opacity": 0.7},
        "width": 0.65 * interval_ms(chart.interval),
    }  # fmt: skip


def _times(candles: Candles) -> list[str]:
    return [local(from_ms(at)) for at in candles.open_time.tolist()]


# -- layout -----------------------------------------------------------------------------------------------


def _layout(chart: Chart, axes: dict[str, str]) -> Trace:
    domains = _domains([PRICES, VOLUME, *axes.values()])
    lowest = list(domains)[-1]
    layout: Trace = {
        "margin": {"l": 8, "r": 70, "t": 30, "b": 36},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"},
        "hovermode": "x unified",
        "dragmode": "pan",
        "bargap": 0.35,
        "uirevision": f"{chart.symbol} {chart.interval}",
        "xaxis": {
            "type": "date", "anchor": lowest, "showgrid": False, "zeroline": False, "nticks": 7, "tickangle": 0,
            "rangeslider": {"visible": False}, "spikethickness": 1, "spikedash": "dot", "tickformatstops": TIME_LABELS, "hoverformat": "%a %d %b %H:%M",
        },
        "shapes": list(_across(axes)),
        "annotations": list(_titles(axes, domains)),
    }  # fmt: skip
    for axis, domain in domains.items():
        layout[axis.replace("y", "yaxis")] = _axis(chart, axis, domain)
    return layout


def _axis(chart: Chart, axis: str, domain: tuple[float, float]) -> Trace:
    form = f",.{chart.places}f" if axis == PRICES else "~s" if axis == VOLUME else ",.4~g"
    ticks = 7 if axis == PRICES else 2 if axis == VOLUME else 3
    shared = {"side": "right", "zeroline": False, "fixedrange": True, "domain": list(domain), "nticks": ticks}
    return {**shared, "tickformat": form, "showgrid": axis == PRICES}


def _domains(axes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return bottom and top of each pane in shares of the height, the first on top."""
    shares = [HEIGHTS.get(axis, OTHER_PANE) for axis in axes]
    scale = (1 - GAP * (len(axes) - 1)) / sum(shares)
    domains, top = {}, 1.0
    for axis, share in zip(axes, shares, strict=True):
        bottom = max(0.0, top - share * scale)
        domains[axis] = (round(bottom, 4), round(top, 4))
        top = bottom - GAP
    return domains


def _across(axes: dict[str, str]) -> Iterator[Trace]:
    for name, axis in axes.items():
        for level in PANES[name][2]:
            yield {
                "type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": axis, "y0": level, "y1": level,
                "line": {"width": 1, "dash": "dot"}, "layer": "below",
            }  # fmt: skip


def _titles(axes: dict[str, str], domains: dict[str, tuple[float, float]]) -> Iterator[Trace]:
    named = {"Volume": VOLUME} | {PANES[name][0]: axis for name, axis in axes.items()}
    for title, axis in named.items():
        yield {
            "text": title, "xref": "paper", "yref": "paper", "x": 0, "y": domains[axis][1], "xanchor": "left",
            "yanchor": "top", "showarrow": False,
        }  # fmt: skip
