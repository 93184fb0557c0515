"""Equity of several accounts on one chart: each in per cent of its start, beside holding bitcoin and holding cash.

Accounts of one market only, because each market has a time of its own. What came in or went out is no result.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any, Final

from django.db.models import Exists, F, FloatField, OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Cast
from django.utils import timezone

from accounts.models import Account, Bot
from accounts.selectors import on_market
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.models import Candle, Feed, Instrument, Ticker
from trading.domain.performance import daily_returns
from trading.domain.unit_value import results
from trading.domain.venue import MOVED, SETTLED_IN
from trading.models import EquityHour, EquityPoint, IncomeEntry
from trading.selectors.curve import RANGES, TIME_LABELS
from trading.selectors.leaderboard import Stored, equity_known, equity_of

MOST_LINES: Final = 12
"""Lines that can be told from each other."""
MOST_HOURS: Final = timedelta(days=45)
"""A longer time is drawn from days."""
POINTS: Final = 180
"""Of one line, about."""
AN_HOUR: Final = timedelta(hours=1)
OF_NONE: Final = timedelta(days=1)
"""How far back is looked for accounts of which no day is summed yet."""
TONES: Final = ("bot-1", "bot-2", "bot-3", "bot-4", "bot-5", "bot-6")
DASHES: Final = ("solid", "dash", "dashdot")
COIN: Final = "BTC"
QUOTE: Final = "USDT"


type Line = list[tuple[datetime, float]]
"""Moments (market time) with the result since the first of them, as a fraction of what was there."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Money that came in or went out, with what was stated last before it and first after it, where that is kept."""

    at: datetime
    amount: float
    stated: Line
    after: datetime | None
    """When the statement after it was made."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is drawn, in the time of one market. `since` None: from the beginning."""

    since: datetime | None
    until: datetime

    @classmethod
    def of(cls, span: str, now: datetime) -> Window:
        """Return the last `span` before `now`. Raises KeyError for a span that is none of RANGES."""
        length = RANGES[span]
        return cls(now - length if length else None, now)


def drawn(accounts: QuerySet[Account], market: str, chosen: Sequence[int] = ()) -> Sequence[Account]:
    """Return the accounts on a market that are drawn, each with its newest equity. Two queries.

    Those that were `chosen`, else all; of more than MOST_LINES those with a curve and a running bot.
    """
    newest = EquityPoint.objects.filter(account=OuterRef("pk")).order_by("-at")
    wanted = accounts.filter(pk__in=chosen) if chosen else accounts
    rows = wanted.filter(on_market(market)).annotate(
        newest_at=Subquery(newest.values("at")[:1]),
        newest_equity=Subquery(newest.values("equity")[:1]),
        has_hours=Exists(EquityHour.objects.filter(account=OuterRef("pk"))),
    )
    rows = rows.filter(newest_at__isnull=False).prefetch_related(Prefetch("bots", Bot.objects.order_by("pk")))
    return sorted(rows, key=_first)[:MOST_LINES]


def name_of(account: Account) -> str:
    """Return what a line is named: by the bot where the account has one, and by its kind where it is not paper."""
    bots = list(account.bots.all())
    name = f"{bots[0].name} on {account.name}" if len(bots) == 1 else account.name
    return f"{name} ({account.badge})" if account.live else name


def lines_of(accounts: Sequence[Account], window: Window) -> dict[int, Line]:
    """Return the lines of accounts of `drawn`. Two queries, three where everything is asked for."""
    keys = [one.pk for one in accounts]
    since = window.since
    if since is None:
        days = equity_known({(None, window.until.date() + timedelta(days=1)): keys}).days
        first = min((rows[0].at for rows in days.values()), default=None)
        since = _moment(first) if first else window.until - OF_NONE
        if window.until - since > MOST_HOURS:
            return {key: _by_days(rows) for key, rows in days.items()}
    moved = _moved(keys, since)
    rows = _hours(keys, since, window.until)
    fine = window.until - since <= timedelta(days=1)
    found = {}
    for one in accounts:
        points = _points(rows.get(one.pk, []), moved.get(one.pk, []), window, one, fine=fine)
        if line := _as_result(points, moved.get(one.pk, [])):
            found[one.pk] = line
    return found


def coin_line(market: str, since: datetime, until: datetime) -> tuple[str, Line]:
    """Return the symbol and the line of holding bitcoin on a market from `since` on. Two queries; empty where none is stored."""
    here = Instrument.objects.filter(venue=market, base=COIN, quote=QUOTE).order_by("symbol")
    price = Ticker.objects.filter(venue=market, symbol=OuterRef("symbol")).values("mark")[:1]
    base = Feed.objects.filter(venue=market).values("interval")[:1]
    told = here.annotate(mark=Subquery(price), base_interval=Subquery(base)).values_list(
        "symbol", "mark", "base_interval"
    )
    row = told.first()
    if row is None or row[2] is None:
        return "", []
    symbol, mark, interval = row
    wanted = _sampled(since, until, interval)
    rows = Candle.objects.filter(venue=market, symbol=symbol, interval=interval, open_time__in=wanted)
    prices: Line = list(rows.order_by("open_time").values_list("open_time", "open"))
    if mark and prices:
        prices.append((until, float(mark)))
    if len(prices) < 2:
        return symbol, []
    start = prices[0][1]
    return symbol, [(at, price / start - 1) for at, price in prices]


def figure_of(named: Iterable[tuple[str, Line]], coin: tuple[str, Line], *, until: datetime) -> dict[str, Any]:
    """Return lines in per cent as a plotly figure, as plain JSON values; no lines where no account has two points."""
    lines = [(name, line) for name, line in named if len(line) > 1]
    if not lines:
        return {"data": [], "layout": {}}
    begin = min(line[0][0] for _, line in lines)
    data = [_trace(name, line, place) for place, (name, line) in enumerate(lines)]
    symbol, held = coin
    if held:
        late = held[0][0] - begin > (until - begin) / 20
        name = f"{symbol} held since {timezone.localtime(held[0][0]):%d %b}" if late else f"{symbol} held"
        data.append(_trace(name, held, 0, tone="muted", dash="dot"))
    data.append(_trace("cash", [(begin, 0.0), (until, 0.0)], 0, tone="muted", dash="longdash", width=1.0))
    return {
        "data": data,
        "layout": {
            "margin": {"l": 8, "r": 56, "t": 8, "b": 40},
            "showlegend": True,
            "legend": {"orientation": "h", "y": -0.18, "yanchor": "top", "x": 0},
            "hovermode": "x unified",
            "xaxis": {
                "type": "date", "showgrid": False, "zeroline": False, "fixedrange": True, "nticks": 6, "tickangle": 0,
                "tickformatstops": TIME_LABELS,
            },
            "yaxis": {
                "side": "right", "tickformat": "+.1f", "ticksuffix": " %", "zeroline": False, "fixedrange": True,
                "nticks": 6,
            },
        },
    }  # fmt: skip


def figure_on(accounts: Sequence[Account], market: str, span: str, now: datetime) -> dict[str, Any]:
    """Return the figure of accounts of `drawn` over a span before `now`, the time of their market. At most five queries."""
    window = Window.of(span, now)
    lines = lines_of(accounts, window)
    if not lines:
        return {"data": [], "layout": {}}
    begin = min(line[0][0] for line in lines.values())
    named = [(name_of(one), lines[one.pk]) for one in accounts if one.pk in lines]
    return figure_of(named, coin_line(market, begin, now), until=now)


def _first(account: Account) -> tuple[bool, bool, bool, str, int]:
    """Order accounts: those with a curve, then with a running bot, then of real money, then by name."""
    runs = any(bot.status == Bot.Status.RUNNING for bot in account.bots.all())
    return not vars(account)["has_hours"], not runs, not account.live, account.name, account.pk


def _hours(keys: Sequence[int], since: datetime, until: datetime) -> dict[int, list[EquityHour]]:
    """Return hours of accounts in order: every one of a short time, every n-th of a longer one."""
    first = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    every = max(1, -(-int((until - first) / AN_HOUR) // POINTS))
    rows = EquityHour.objects.filter(account__in=keys, hour__gte=first, hour__lte=until)
    if every > 1:
        count = int((until - first) / AN_HOUR) + 1
        rows = rows.filter(hour__in=[first + AN_HOUR * number for number in range(0, count, every)])
    found: defaultdict[int, list[EquityHour]] = defaultdict(list)
    for row in rows.order_by("account_id", "hour"):
        found[row.account_id].append(row)
    return found


def _moved(keys: Sequence[int], since: datetime) -> dict[int, list[Moved]]:
    """Return what was moved on accounts, oldest first. One query."""
    lines = IncomeEntry.objects.filter(
        account__in=keys, kind__in=[kind.value for kind in MOVED], asset=SETTLED_IN, at__gte=since - AN_HOUR
    )
    points = EquityPoint.objects.filter(account=OuterRef("account"))
    sides = {
        "before": points.filter(at__lt=OuterRef("at")).order_by("-at"),
        "after": points.filter(at__gte=OuterRef("at")).order_by("at"),
    }
    stated = {
        f"{side}_{name}": Subquery(rows.values(name)[:1]) for side, rows in sides.items() for name in ("at", "equity")
    }
    found: defaultdict[int, list[Moved]] = defaultdict(list)
    named = ("account_id", "at", "value", *stated)
    for key, at, amount, *told in (
        lines.order_by("at").annotate(value=Cast(F("amount"), FloatField()), **stated).values_list(*named)
    ):
        pairs = [(when, float(worth)) for when, worth in (told[:2], told[2:]) if when and when >= since]
        found[key].append(Moved(at, amount, pairs, told[2]))
    return found


def _points(
    hours: Sequence[EquityHour], moved: Sequence[Moved], window: Window, account: Account, *, fine: bool
) -> Line:
    """Return equity over time. Of an hour in which money was moved only its end counts, and that only where it was stated
    after the move; what was stated right before and after a move counts everywhere."""
    found: dict[datetime, float] = {}
    for hour in hours:
        end = min(hour.hour + AN_HOUR, window.until)
        within = [each for each in moved if hour.hour <= each.at <= end]
        if within:
            if all(each.after and each.after < end for each in within):
                found[end] = hour.last
            continue
        if not found:
            found[hour.hour] = hour.first
        if fine:
            found |= {hour.lowest_at: hour.lowest, hour.highest_at: hour.highest}
        found[end] = hour.last
    for each in moved:
        found |= {at: equity for at, equity in each.stated if at <= window.until}
    newest_at, newest = vars(account)["newest_at"], float(vars(account)["newest_equity"])
    found[min(max(newest_at, *found), window.until) if found else newest_at] = newest
    return sorted(found.items())


def _as_result(points: Line, moved: Sequence[Moved]) -> Line:
    """Return equity as what a unit brought: what was moved is no result, and is no part of what the next is a share of."""
    if len(points) < 2:
        return []
    began = points[0][0]
    times = [each.at for each in moved if each.at > began]
    sums = [0.0, *accumulate(each.amount for each in moved if each.at > began)]
    told = results([(equity, sums[bisect_right(times, at)]) for at, equity in points])
    return [(at, result) for (at, _), result in zip(points, told, strict=True)]


def _by_days(days: Sequence[Stored]) -> Line:
    """Return the line from days: each day's end, chained, so that what was moved counts for nothing."""
    every, unit = max(1, len(days) // (2 * POINTS)), 1.0
    line: Line = [(_moment(days[0].at), 0.0)]
    for place, (day, result) in enumerate(zip(days, daily_returns((equity_of(day), 0.0) for day in days), strict=True)):
        unit *= 1 + result
        if place % every == 0 or place == len(days) - 1:
            line.append((_moment(day.at) + timedelta(days=1), unit - 1))
    return line


def _moment(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)


def _sampled(since: datetime, until: datetime, interval: str) -> list[datetime]:
    """Return open times of candles, about POINTS of them between two moments."""
    base = timedelta(milliseconds=INTERVAL_MS[interval])
    step = base * max(1, -(-((until - since) / POINTS) // base))
    first = datetime.fromtimestamp(since.timestamp() // base.total_seconds() * base.total_seconds(), UTC)
    return [first + step * number for number in range(int((until - first) / step) + 1)]


def _trace(
    name: str, line: Line, place: int, *, tone: str = "", dash: str = "", width: float = 1.75
) -> Mapping[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [timezone.localtime(at).replace(tzinfo=None, microsecond=0).isoformat() for at, _ in line],
        "y": [round(result * 100, 4) for _, result in line],
        "line": {"width": width, "dash": dash or DASHES[place // len(TONES) % len(DASHES)]},
        "meta": {"tone": tone or TONES[place % len(TONES)]},
        "hovertemplate": "%{y:+.2f} %",
    }
