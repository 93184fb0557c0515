"""Charts of a subject as plotly figures, of plain JSON values; colours are those of the style sheet.

Equity is drawn in per cent of its start. Where a curve is more than LOG times another the axis is logarithmic, so that equal
shares are equally high; else per cent are read more easily.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np

from trading.domain.baselines import quantiles
from trading.domain.drawdowns import below_peak
from trading.domain.ratios import Array
from trading.selectors.curve import TIME_LABELS
from trading.selectors.judged.lived import Lived

LOG: Final = 3.0
MONTHS: Final = 62
"""Days up to which returns are drawn by day; longer spans by month."""
POINTS: Final = 400
A_WEEK: Final = 7
"""Days up to which each has a tick of its own: a day has no hours here."""
A_DAY: Final = 86_400_000
"""Milliseconds."""
LINES: Final = (
    # baseline, colour, dash
    ("buy and hold", "bot-3", "dot"),
    ("equal weight", "bot-2", "dash"),
    ("momentum", "bot-4", "dashdot"),
    ("hold", "bot-6", "longdash"),
    ("cash", "muted", "longdash"),
)
LEVELS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
NOTHING: Final[Mapping[str, Any]] = {"data": [], "layout": {}}


def equity_figure(lived: Lived, known: Mapping[str, Array]) -> dict[str, Any]:
    """Return equity beside the curves of baselines that are known, and below it how far it was from its peak."""
    if not lived.days:
        return dict(NOTHING)
    curves = [("result", lived.unit, "accent", "solid", 2.2)]
    curves += [(name, known[name], tone, dash, 1.4) for name, tone, dash in LINES if name in known]
    high, low = max(float(each[1].max()) for each in curves), min(float(each[1].min()) for each in curves)
    steep = low > 0 and high / low > LOG
    times, kept = _times(lived), _kept(len(lived.unit))
    data = [
        _line(name, times, _values(curve, log=steep)[kept], tone=tone, dash=dash, width=width)
        for name, curve, tone, dash, width in curves
    ]
    fallen = -below_peak(lived.unit)[kept] * 100
    data.append(
        _line("below its peak", times, fallen, tone="loss", width=1.0)
        | {"yaxis": "y2", "fill": "tozeroy", "showlegend": False, "hovertemplate": "%{y:.2f} %"}
    )
    above = {"type": "log", "ticksuffix": " ×"} if steep else {"tickformat": "+.1f", "ticksuffix": " %"}
    if steep:
        for trace in data[:-1]:
            trace["hovertemplate"] = "%{y:.3f} ×"
    axis = {"side": "right", "zeroline": False, "fixedrange": True}
    layout = _layout(lived) | {
        "yaxis": {**axis, **above, "domain": [0.32, 1], "nticks": 6},
        "yaxis2": {
            **axis, "domain": [0, 0.22], "ticksuffix": " %", "nticks": 3, "range": [min(float(fallen.min()) * 1.1, -1.0), 0],
        },
        "annotations": [_note(1, "A unit of it, from 1" if steep else "Since the start"), _note(0.29, "Below its peak")],
    }  # fmt: skip
    layout["xaxis"]["anchor"] = "y2"
    return {"data": data, "layout": layout}


def fan_figure(lived: Lived, fan: Array | None) -> dict[str, Any]:
    """Return the result between the curves of the same positions at random times."""
    if not lived.days or fan is None:
        return dict(NOTHING)
    times, kept = _times(lived), _kept(len(lived.unit))
    bands = [_values(band, log=False)[kept] for band in quantiles(fan, LEVELS)]
    names = ("5 % of draws are below", "25 %", "middle draw", "75 %", "95 % of draws are below")
    tones, dashes = ("muted", "muted", "bot-3", "muted", "muted"), ("dot", "dash", "solid", "dash", "dot")
    data = [_line("result", times, _values(lived.unit, log=False)[kept], width=2.2)]
    data += [
        _line(name, times, band, tone=tone, dash=dash, width=1.2)
        for name, band, tone, dash in zip(names, bands, tones, dashes, strict=True)
    ]
    axis = {
        "side": "right",
        "zeroline": False,
        "fixedrange": True,
        "tickformat": "+.1f",
        "ticksuffix": " %",
        "nticks": 6,
    }
    return {"data": data, "layout": _layout(lived) | {"yaxis": axis}}


def returns_figure(lived: Lived) -> dict[str, Any]:
    """Return what each day brought, or each month where there are many."""
    if not lived.days:
        return dict(NOTHING)
    monthly = len(lived.days) > MONTHS
    rows = (
        months_of(lived)
        if monthly
        else [(day.isoformat(), float(r)) for day, r in zip(lived.days, lived.returns, strict=True)]
    )
    kinds = (
        ("gain", [value if value >= 0 else None for _, value in rows]),
        ("loss", [value if value < 0 else None for _, value in rows]),
    )
    data = [
        {
            "type": "bar", "name": tone, "x": [name for name, _ in rows],
            "y": [None if value is None else round(value * 100, 4) for value in values], "meta": {"tone": tone},
            "hovertemplate": "%{x}<br><b>%{y:+.2f} %</b><extra></extra>",
        }
        for tone, values in kinds
    ]  # fmt: skip
    layout = _layout(lived) | {
        "showlegend": False, "barmode": "relative", "hovermode": "closest",
        "yaxis": {"side": "right", "zeroline": True, "fixedrange": True, "tickformat": "+.1f", "ticksuffix": " %", "nticks": 5},
    }  # fmt: skip
    layout["margin"]["b"] = 36
    if monthly:
        layout["xaxis"] |= {"type": "category"}
        layout["xaxis"].pop("tickformatstops")
    return {"data": data, "layout": layout}


def months_of(lived: Lived) -> list[tuple[str, float]]:
    """Return what each month brought, compounded: its name as 2026-03, and the share."""
    found: defaultdict[str, float] = defaultdict(lambda: 1.0)
    for day, returned in zip(lived.days, lived.returns.tolist(), strict=True):
        found[f"{day:%Y-%m}"] *= 1 + returned
    return [(name, unit - 1) for name, unit in found.items()]


def _values(curve: Array, *, log: bool) -> Array:
    return curve if log else (curve - 1) * 100


def _times(lived: Lived) -> list[str]:
    """Return the day at whose end each point lies; the first one is the beginning."""
    first = date.fromordinal(lived.days[0].toordinal() - 1)
    days = [first, *lived.days]
    return [days[place].isoformat() for place in _kept(len(days)).tolist()]


def _kept(count: int) -> Any:
    """Return which points are drawn: all, or about POINTS of them, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(np.int64))


def _line(
    name: str, times: Sequence[str], values: Array, *, tone: str = "accent", dash: str = "solid", width: float = 1.4
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(times),
        "y": [round(float(value), 4) for value in values],
        "line": {"width": width, "dash": dash},
        "meta": {"tone": tone},
        "hovertemplate": "%{y:+.2f} %",
    }


def _layout(lived: Lived) -> dict[str, Any]:
    by_day = {"dtick": A_DAY} if len(lived.days) <= A_WEEK else {}
    return {
        "margin": {"l": 8, "r": 64, "t": 8, "b": 40},
        "showlegend": True,
        "legend": {"orientation": "h", "y": -0.14, "yanchor": "top", "x": 0},
        "hovermode": "x unified",
        "xaxis": {
            **by_day, "type": "date", "showgrid": False, "zeroline": False, "fixedrange": True, "nticks": 6, "tickangle": 0,
            "tickformatstops": TIME_LABELS,
        },
    }  # fmt: skip


def _note(y: float, text: str) -> dict[str, Any]:
    return {"xref": "paper", "yref": "paper", "x": 0, "y": y, "yanchor": "top", "text": text, "showarrow": False}
