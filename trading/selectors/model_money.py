"""What the models of a bot or an account cost beside what they brought, for pages.

Days that are over are counted once and remembered: each call lies in the database with its whole prompt and reply, and a
page that is looked at every few seconds must not read a month of them. Calls of yesterday and today are counted anew.
US dollars stand one to one beside the quote asset, a dollar too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.core.cache import cache
from django.db.models import F, Sum

from accounts.models import Account, Bot
from decisions.domain.till import UNITS, Allowed
from decisions.models import Interaction
from decisions.selectors import Slice, Spent, cost_by_day, cost_of_account
from decisions.selectors.spending import local_day, midnight
from trading.models import Position
from vibex.lib.installation import installation_tag

DAYS: Final = 30
"""Days that a bot's page looks back."""
REMEMBERED: Final = 3 * 86_400
"""Seconds."""
SAME_CLOCK: Final = timedelta(minutes=1)
TONES: Final = ("accent", "gain", "warn", "loss", "muted")
NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class BotMoney:
    """Money of one bot. `recent` and what follows from it are of the last DAYS days."""

    today: Spent
    allowed: Allowed
    all: Spent
    booked: Decimal
    """Realised result less fees, with funding, of all its positions, open ones with what is booked of them."""
    recent: Spent
    cycles: int
    """That asked a model."""
    models: tuple[Slice, ...]
    """The dearest first."""

    @property
    def net(self) -> Decimal:
        return self.booked - self.all.total

    @property
    def each(self) -> Decimal | None:
        """US dollars a cycle that asked."""
        return (self.recent.total / self.cycles).quantize(UNITS) if self.cycles else None


@dataclass(frozen=True, slots=True)
class AccountMoney:
    """Model cost of an account beside its results."""

    all: Spent
    net: Decimal | None
    """Result since the start after it."""
    today: Spent | None
    """None where the market's day is not that of the wall, as in a replay."""
    net_today: Decimal | None


def bot_money(bot: Bot, *, now: datetime) -> BotMoney:
    """Return what the models of a bot cost, and what is left of its results. `now` is wall time."""
    slices = slices_of(bot, now=now)
    today = local_day(now, bot.account.time_zone)
    since = midnight(today - timedelta(days=DAYS - 1), bot.account.time_zone)
    asked = Interaction.objects.filter(bot=bot, at__gte=since, cycle__isnull=False)
    booked = Position.objects.filter(bot=bot).aggregate(net=Sum(F("realised") - F("fees") + F("funding")))["net"]
    return BotMoney(
        today=together(each.spent for each in slices if each.day == today),
        allowed=Allowed(bot.cost_per_day, bot.tokens_per_day),
        all=together(part[bot.pk] for part in _cost_by_bot(bot.account, now) if bot.pk in part),
        booked=(booked or NOTHING).quantize(UNITS),
        recent=together(each.spent for each in slices),
        cycles=asked.values("cycle_id").distinct().count(),
        models=tuple(each for each in _by_model(slices) if each.spent.calls),
    )


def account_money(
    account: Account, *, total: Decimal | None, day: Decimal | None, market_now: datetime, now: datetime
) -> AccountMoney:
    """Return what the models of an account cost beside its result since the start (`total`) and of today (`day`)."""
    before, today = _cost_by_bot(account, now)
    everything = together([*before.values(), *today.values()])
    if abs(market_now - now) > SAME_CLOCK:
        return AccountMoney(everything, _less(total, everything), None, None)
    spent = together(today.values())
    return AccountMoney(everything, _less(total, everything), spent, _less(day, spent))


def slices_of(bot: Bot, *, now: datetime) -> list[Slice]:
    """Return what each model of a bot cost on each of the last DAYS days, oldest first."""
    zone = bot.account.time_zone
    today = local_day(now, zone)
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    keys = {day: f"{_name(bot.account)}:{bot.pk}:{zone}:{day:%Y-%m-%d}" for day in days[:-2]}
    kept = cache.get_many(keys.values())
    missing = [day for day in days if keys.get(day) not in kept]
    fresh: dict[date, list[Slice]] = {day: [] for day in missing}
    for each in cost_by_day(bot, since=midnight(missing[0], zone)):
        if each.day in fresh:
            fresh[each.day].append(each)
    if fresh.keys() & keys.keys():
        cache.set_many({keys[day]: slices for day, slices in fresh.items() if day in keys}, REMEMBERED)
    return [each for day in days for each in (fresh[day] if day in fresh else kept[keys[day]])]


def figure_of_cost(slices: Sequence[Slice]) -> dict[str, Any]:
    """Return cost per day as a plotly figure: a bar for each day, a layer for each model. Nothing where nothing cost."""
    if not any(each.spent.total for each in slices):
        return {"data": [], "layout": {}}
    days = [each.day for each in slices if each.day]
    first = min(*days, max(days) - timedelta(days=1))
    span = [first + timedelta(days=ahead) for ahead in range((max(days) - first).days + 1)]
    cost: defaultdict[tuple[str, date | None], Decimal] = defaultdict(Decimal)
    for each in slices:  # `x/y` and `y` at the provider x are two slices of one name
        cost[each.model, each.day] += each.spent.total
    names = [each.model for each in _by_model(slices) if each.spent.total]
    return {
        "data": [
            {
                "type": "bar",
                "name": name,
                "x": [day.isoformat() for day in span],
                "y": [float(cost[name, day]) for day in span],
                "meta": {"tone": TONES[place % len(TONES)]},
                "marker": {"opacity": 1.0 - 0.3 * (place // len(TONES) % 3)},
                "hovertemplate": f"{name}<br><b>%{{y:,.4f}}</b> USD<extra></extra>",
            }
            for place, name in enumerate(names)
        ],
        "layout": {
            "barmode": "stack",
            "margin": {"l": 8, "r": 64, "t": 8, "b": 40},
            "showlegend": len(names) > 1,
            "legend": {"y": -0.16, "yanchor": "top", "x": 0},
            "hovermode": "x unified",
            "xaxis": {"type": "date", "showgrid": False, "fixedrange": True, "tickformat": "%d %b", "nticks": 8},
            "yaxis": {"side": "right", "tickformat": ",.2f", "zeroline": False, "fixedrange": True, "nticks": 5},
        },
    }


def together(parts: Iterable[Spent]) -> Spent:
    """Return several sums as one."""
    parts = list(parts)
    return Spent(
        told=sum((each.told for each in parts), NOTHING),
        calls=sum(each.calls for each in parts),
        untold=sum(each.untold for each in parts),
        assumed=sum((each.assumed for each in parts), NOTHING),
        tokens=sum(each.tokens for each in parts),
        tokens_assumed=sum(each.tokens_assumed for each in parts),
    )


def _cost_by_bot(account: Account, now: datetime) -> tuple[dict[int, Spent], dict[int, Spent]]:
    """Return what the models of an account cost before today and today, by the key of their bot. One query."""
    today = local_day(now, account.time_zone)
    settled = midnight(today - timedelta(days=1), account.time_zone)
    borders = [settled, midnight(today, account.time_zone)]
    key = f"{_name(account)}:all:{settled:%Y-%m-%dT%H}"
    known = cache.get(key)
    old, yesterday, now_on = cost_of_account(account, borders=borders, since=None if known is None else settled)
    if known is None:
        cache.set(key, old, REMEMBERED)
    old = old if known is None else known
    before = {
        bot: together(part[bot] for part in (old, yesterday) if bot in part) for bot in old.keys() | yesterday.keys()
    }
    return before, now_on


def _by_model(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    parts: dict[str, list[Spent]] = {}
    for each in slices:
        parts.setdefault(each.model, []).append(each.spent)
    models = [Slice(model, together(spent)) for model, spent in parts.items()]
    return tuple(sorted(models, key=lambda each: (-each.spent.total, each.model)))


def _less(result: Decimal | None, spent: Spent) -> Decimal | None:
    return None if result is None else result - spent.total


def _name(account: Account) -> str:
    """Return a name of an account that no other one has, also where keys of rows begin anew."""
    return f"model-money:{installation_tag()}:{account.pk}:{account.created.timestamp():.6f}"
