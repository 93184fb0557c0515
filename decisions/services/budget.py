"""The money of a day of one bot: set aside before a model is asked, trued up afterwards, counted from what is on record.

What was used is what the interactions say. A counter beside them knows what is under way, too: in Redis where there is
one that answers, else in the database. It is made anew from the interactions whenever it is missing, which it is after each quiet
while, so nothing that was lost is lost for long.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from accounts.models import Bot
from decisions.deciders.ports import BudgetUsed, NoPurse, Purse, Reservation
from decisions.domain.till import UNITS, Allowed, Entry, Till, no_room
from decisions.selectors.spending import cost_on, local_day
from decisions.services.tills import tills
from vibex.lib.connections import let_go

log = logging.getLogger(__name__)

UNCOUNTED: Final = "budget: what was used today cannot be counted"
"""How the reason begins when the counter cannot be reached: nobody is asked, though money may be left."""
TRIES: Final = 3
NOTHING: Final = Decimal(0)


@dataclass(slots=True)
class BotPurse:
    """The port `Purse` for a bot with limits. Safe from every thread and process."""

    bot: Bot
    allowed: Allowed
    _booked: dict[str, tuple[Decimal, int]] = field(default_factory=dict)
    """By reservation: what was booked for it. A reply that comes late is booked in place of the estimate."""

    def reserve(self, *, cost: Decimal, tokens: int) -> Reservation:
        """Set aside what a call may cost. Raises BudgetUsed when a limit of the day would be passed, with figures and end."""
        day = local_day(timezone.now(), self.bot.account.time_zone)
        cost = max(NOTHING, cost).quantize(UNITS)
        try:
            till, key = self._reserved(day, cost, max(0, tokens))
        except Exception as fault:
            if not _is_of_the_count(fault):
                raise
            raise BudgetUsed(
                f"{UNCOUNTED}: the database does not answer ({type(fault).__name__})", code="budget"
            ) from None
        if not key:
            text = no_room(till, self.allowed, cost, tokens)
            raise BudgetUsed(f"{text}; there is more from midnight on ({self.bot.account.time_zone})", code="budget")
        return Reservation(f"{day:%Y-%m-%d} {key} {uuid.uuid4().hex}", cost, max(0, tokens))

    def settle(self, reservation: Reservation, *, cost: Decimal | None, tokens: int) -> None:
        """Book what a call used; `cost` None: what was set aside. A second time, in place of the first. Never raises."""
        used = (reservation.cost if cost is None else max(NOTHING, cost).quantize(UNITS)), max(0, tokens)
        before = self._booked.get(reservation.key)
        self._booked[reservation.key] = used
        day, key, _ = reservation.key.split(" ")
        held = None if before else Entry(key, reservation.cost, reservation.tokens)
        more, more_tokens = (used[0] - before[0], used[1] - before[1]) if before else used
        try:
            tills().settle(self.bot.pk, date.fromisoformat(day), held, more, more_tokens)
        except Exception as fault:  # noqa: BLE001
            # What was answered counts more than a counter that is made anew from what is on record.
            log.warning("what a call of bot %s used is counted only later: %s", self.bot.pk, type(fault).__name__)

    def _reserved(self, day: date, cost: Decimal, tokens: int) -> tuple[Till, str]:
        for _ in range(TRIES):
            till, key = tills().reserve(self.bot.pk, day, self.allowed, Entry("", cost, tokens))
            if till is not None:
                return till, key
            budget_rebuild(bot=self.bot, day=day, anew=False)
        raise DatabaseError("the counter of the day was thrown away as often as it was made")


def purse_of(bot: Bot) -> Purse:
    """Return the purse of a bot: one without a bottom where no limit of the day is set."""
    allowed = allowed_of(bot)
    return NoPurse() if allowed.unlimited else BotPurse(bot, allowed)


def allowed_of(bot: Bot) -> Allowed:
    """Return what the models of a bot may use in a day."""
    return Allowed(bot.cost_per_day, bot.tokens_per_day)


def budget_rebuild(*, bot: Bot, day: date, anew: bool = True) -> Till:
    """Count what a bot used on a day of its account's time zone from its interactions, and return it.

    With `anew` the counter, and all that was set aside, is thrown away; without, one that still holds is left alone.
    """
    spent = cost_on(bot, day)
    till = Till(spent.total, spent.tokens_total)
    if settings.REDIS_URL:
        let_go()
    tills().begin(bot.pk, day, till, anew=anew)
    return till


def budget_today(bot: Bot, *, now: datetime | None = None) -> Till:
    """Return what a bot has used today, by the counter; by the interactions where the counter cannot be reached."""
    day = local_day(now or timezone.now(), bot.account.time_zone)
    try:
        return tills().read(bot.pk, day) or budget_rebuild(bot=bot, day=day, anew=False)
    except Exception as fault:
        if not settings.REDIS_URL or not _is_of_the_count(fault):
            raise
        spent = cost_on(bot, day)
        return Till(spent.total, spent.tokens_total)


def _is_of_the_count(fault: Exception) -> bool:
    """Tell whether a fault is one of where it is counted."""
    if isinstance(fault, DatabaseError) or not settings.REDIS_URL:
        return isinstance(fault, DatabaseError)
    from redis import RedisError

    return isinstance(fault, RedisError | OSError)
