"""Equity over time: thinned out in the database, drawn as a plotly figure or as the line of a small picture."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Max, Min
from django.db.models.functions import TruncDay, TruncHour, TruncMinute
from django.utils import timezone

from accounts.models import Account
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
type Points = Sequence[tuple[datetime, Decimal | float]]


def curve_of(account: Account, *, now: datetime, span: str = "all") -> Curve:
    """Return at most about 1,500 points (time, equity) of the last `span` before `now`, oldest first.

    Raises KeyError for a span that is none of RANGES.
    """
    points = EquityPoint.objects.filter(account=account)
    length = RANGES[span]
    since = now - length if length else points.aggregate(first=Min("at"))["first"]
    if since is None:
        return ()
    points = points.filter(at__gte=since)
    # The last point of every minute, hour or day: what was, not an average that never was.
    last_of_each = points.annotate(bucket=_bucket(now - since)).values("bucket").annotate(last=Max("at")).values("last")
    return tuple(points.filter(at__in=last_of_each).order_by("at").values_list("at", "equity"))


def figure_of(curve: Curve, *, start: Decimal) -> dict[str, Any]:
    """Return the curve as a plotly figure, as plain JSON values. Times are those of the reader's zone, colours of the style sheet."""
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "name": "equity",
                "x": [timezone.localtime(at).replace(tzinfo=None).isoformat() for at, _ in curve],
                "y": [float(equity) for _, equity in curve],
                "line": {"width": 1.75},
                "hovertemplate": "%{x|%a %d %b %H:%M}<br><b>%{y:,.2f}</b> USDT<extra></extra>",
            }
        ],
        "layout": {
            "margin": {"l": 8, "r": 64, "t": 8, "b": 40},
            "showlegend": False,
            "hovermode": "x unified",
            "xaxis": {
                "type": "date",
                "showgrid": False,
                "zeroline": False,
                "fixedrange": True,
                "nticks": 6,
                "tickangle": 0,
                "tickformatstops": TIME_LABELS,
            },
            "yaxis": {"side": "right", "tickformat": ",.0f", "zeroline": False, "fixedrange": True, "nticks": 6},
            "shapes": [
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": float(start),
                    "y1": float(start),
                    "line": {"width": 1, "dash": "dot"},
                }
            ],
        },
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
    if length <= timedelta(days=1):
        return TruncMinute("at")
    return TruncHour("at") if length <= timedelta(days=60) else TruncDay("at")
