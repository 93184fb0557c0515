"""The same bot more than once: bots with identical settings on other accounts of the owner, over the days that all have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import fmean, stdev
from typing import Any, Final

from accounts.models import Bot
from trading.domain.performance import EMPTY, EquityOfDay, compounded, daily_returns
from trading.models import PerformanceDay
from trading.selectors.leaderboard import Plain

SAME: Final = (
    "model", "fallback_models", "ensemble_models", "ensemble_rule", "reasoning_effort", "temperature", "max_tokens", "symbols",
    "interval", "timeframes", "capital", "prompt_template", "prompt_version", "layout", "outside_text", "approval",
)  # fmt: skip
MOST: Final = 50
ENOUGH: Final = 5
"""Repeats below which a spread says little."""
COLUMNS: Final = ("equity_first", "equity_last", "transfers", "cost")


@dataclass(frozen=True, slots=True)
class Repeats:
    """What repeats came to over the same days. Shares as fractions."""

    bots: tuple[Bot, ...]
    days: int
    returned: tuple[float, ...]
    """Compounded, of the account of each bot, after the cost of models."""

    @property
    def count(self) -> int:
        return len(self.returned)

    @property
    def mean(self) -> float | None:
        return fmean(self.returned) if self.returned else None

    @property
    def error(self) -> float | None:
        """Standard error of the mean; None below two."""
        return stdev(self.returned) / self.count**0.5 if self.count > 1 else None

    @property
    def lowest(self) -> float | None:
        return min(self.returned, default=None)

    @property
    def highest(self) -> float | None:
        return max(self.returned, default=None)

    @property
    def few(self) -> bool:
        return self.count < ENOUGH


def repeats_of(bots: Sequence[Bot], beside: Sequence[Bot], *, since: date | None, until: date) -> Repeats:
    """Return the repeats of a bot among all bots of its owner on its market, itself among them.

    Of several `bots` none is the one that is repeated, and there are none. One query where there is more than one.
    """
    if len(bots) != 1:
        return Repeats((), 0, ())
    like, accounts = settings_of(bots[0]), dict[int, Bot]()
    for bot in beside:
        if settings_of(bot) == like:
            accounts.setdefault(bot.account_id, bot)
    if len(accounts) < 2:
        return Repeats((), 0, ())
    mine = list(accounts.items())[:MOST]
    rows = PerformanceDay.objects.filter(bot=None, account__in=[key for key, _ in mine], day__lt=until)
    rows = rows.filter(day__gte=since) if since else rows
    known = _known(rows.filter(equity_last__isnull=False))
    common = set.intersection(*(set(known[key]) for key, _ in mine))
    returned = (
        compounded(daily_returns(known[key][day] for day in sorted(common))) if common else 0.0 for key, _ in mine
    )
    return Repeats(tuple(bot for _, bot in mine), len(common), tuple(returned) if common else ())


def settings_of(bot: Bot) -> tuple[str, ...]:
    """Return all that makes one bot decide otherwise than another, to compare."""
    return tuple(str(getattr(bot, name)) for name in SAME)


def _known(rows: Any) -> dict[int, dict[date, tuple[EquityOfDay, float]]]:
    found: defaultdict[int, dict[date, tuple[EquityOfDay, float]]] = defaultdict(dict)
    floats = [Plain(name) for name in COLUMNS]
    for key, day, first, last, transfers, cost in rows.values_list("account_id", "day", *floats):
        if first >= EMPTY:
            found[key][day] = EquityOfDay(first, last, first, last, transfers), cost
    return found
