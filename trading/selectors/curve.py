"""Equity over time: thinned out in the database, drawn as a plotly figure or as the line of a small picture."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import connection
from django.db.models import Max, Min, TextField
from django.db.models.functions import Cast, Substr, TruncDay, TruncHour, TruncMinute
from django.utils import timezone

from accounts.models import Account
from trading.domain.unit_value import drawdowns
from trading.models import EquityPoint

RANGES: Final[dict[str, timedelta | None]] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
    "all": None,
}
"""What a person may ask to see; None is everything."""

WIDTH, HEIGHT, EDGE = 1000, 240, 8

TIME_LABELS: Final = [
    {"dtickrange": [None, 59_999], "value": "%H:%M:%S\n%d %b"},
    {"dtickrange": [60_000, 43_200_000], "value": "%H:%M\n%d %b"},
    {"dtickrange": [43_200_001, None], "value": "%d %b\n%Y"},
]
"""How the time axis is labelled: ticks below a minute, up to 12 hours, wider."""

type Curve = Sequence[tuple[datetime, Decimal]]
type Funded = Sequence[tuple[datetime, Decimal, Decimal]]
"""Time, equity, net deposits so far."""
type Points = Sequence[tuple[datetime, Decimal | float]]


def curve_of(account: Account, *, now: datetime, span: str = "all", first: datetime | None = None) -> Curve:
    """Return at most about 1,500 points (time, equity) of the last `span` before `now`, oldest first.

    `first`: when the account's first point was stated, where that is known. Raises KeyError for a span that is none of RANGES.
    """
    return [(at, equity) for at, equity, _ in funded_of(account, now=now, span=span, first=first)]


def funded_of(account: Account, *, now: datetime, span: str = "all", first: datetime | None = None) -> Funded:
    """Return the same points with the net deposits so far: what a drawdown is counted from."""
    points = EquityPoint.objects.filter(account=account)
    length = RANGES[span]
    since = now - length if length else first or points.aggregate(first=Min("at"))["first"]
    if since is None:
        return ()
    points = points.filter(at__gte=since)
    # The last point of every minute, hour or day: what was, not an average that never was.
    last_of_each = points.annotate(bucket=_bucket(now - since)).values("bucket").annotate(last=Max("at")).values("last")
    return tuple(points.filter(at__in=last_of_each).order_by("at").values_list("at", "equity", "transfers"))


def figure_of(points: Funded, *, start: Decimal) -> dict[str, Any]:
    """Return equity, and below it on the same axis of time the drawdown, as a plotly figure of plain JSON values.

    Times are those of the reader's zone, colours of the style sheet. The drawdown is that of a unit of the account, which
    deposits do not move, from the highest point that is drawn.
    """
    times = [timezone.localtime(at).replace(tzinfo=None).isoformat() for at, _, _ in points]
    fallen = drawdowns([(float(equity), float(moved)) for _, equity, moved in points])
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "name": "equity",
                "x": times,
                "y": [float(equity) for _, equity, _ in points],
                "line": {"width": 1.75},
                "hovertemplate": "%{x|%a %d %b %H:%M}<br><b>%{y:,.2f}</b> USDT<extra></extra>",
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": "drawdown",
                "x": times,
                "y": fallen,
                "yaxis": "y2",
                "fill": "tozeroy",
                "meta": {"tone": "loss"},
                "line": {"width": 1},
                "hovertemplate": "<b>%{y:.2%}</b> from its peak<extra></extra>",
            },
        ],
        "layout": _layout(float(start), lowest=min(fallen, default=0.0)),
    }


def _layout(start: float, *, lowest: float) -> dict[str, Any]:
    axis = {"side": "right", "zeroline": False, "fixedrange": True}
    return {
        "margin": {"l": 8, "r": 64, "t": 8, "b": 40},
        "showlegend": False,
        "hovermode": "x unified",
        "xaxis": {
            "type": "date",
            "anchor": "y2",
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "nticks": 6,
            "tickangle": 0,
            "tickformatstops": TIME_LABELS,
        },
        "yaxis": {**axis, "domain": [0.34, 1], "tickformat": ",.0f", "nticks": 6},
        # Never drawn so close that a fall of a hundredth of a percent looks like a ruin.
        "yaxis2": {
            **axis,
            "domain": [0, 0.24],
            "tickformat": ".1%",
            "nticks": 3,
            "range": [min(lowest * 1.1, -0.01), 0],
        },
        "shapes": [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": start,
                "y1": start,
                "line": {"width": 1, "dash": "dot"},
            }
        ],
        "annotations": [
            {"xref": "paper", "yref": "paper", "x": 0, "y": y, "yanchor": "top", "text": text, "showarrow": False}
            for y, text in ((1, "Equity"), (0.335, "Below its peak"))
        ],
    }


def polyline_of(curve: Points) -> str:
    """Return the curve as the `points` of an SVG polyline in a box of WIDTH × HEIGHT; empty below two points."""
    if len(curve) < 2:
        return ""
    values = [float(equity) for _, equity in curve]
    low, high = min(values), max(values)
    began, length = curve[0][0], (curve[-1][0] - curve[0][0]) / timedelta(seconds=1)
    tall = (HEIGHT - 2 * EDGE) / (high - low) if high > low else 0.0
    places = (
        ((at - began) / timedelta(seconds=1) / length * WIDTH, HEIGHT - EDGE - (value - low) * tall)
        for (at, _), value in zip(curve, values, strict=True)
    )
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _bucket(length: timedelta) -> Any:
    """Return what puts points of one minute, hour or day together, by the length of what is drawn."""
    short, middle = length <= timedelta(days=1), length <= timedelta(days=60)
    if connection.vendor == "sqlite":
        # Django truncates there with a function in Python for every row; as text a time begins with its day, hour, minute.
        return Substr(Cast("at", TextField()), 1, 16 if short else 13 if middle else 10)
    if short:
        return TruncMinute("at")
    return TruncHour("at") if middle else TruncDay("at")
