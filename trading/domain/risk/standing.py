"""Rules about the account: may it open anything now, after what it did lately, and within which limits?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, get_type_hints

from accounts.domain.limits import Limits
from trading.domain.history import Ended, History
from trading.domain.known import known, moment
from trading.domain.remembered import remembered
from trading.domain.risk.case import Ask, Finding, Rule, refuses

ACTIVE: Final = "active"
PAUSED: Final = "paused"
DECIDING: Final = frozenset({"running", "stopped"})
"""States of a bot that may open: a stopped one decides when a person asks it to."""
SIDES: Final = frozenset({"both", "long", "short"})
MOST: Final = 10_000_000
"""No count and no number of minutes is larger; what is, is a fault."""
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@refuses("account.state")
def account_state(ask: Ask) -> Finding | None:
    """The account is active; one that is reducing or halted opens nothing."""
    state = ask.terms.standing.state
    return None if state == ACTIVE else Finding(f"The account is {state}: positions may only be closed.")


@refuses("bot.state")
def bot_state(ask: Ask) -> Finding | None:
    """The bot is not paused; one that is only closes."""
    state = ask.terms.standing.bot
    return None if state in DECIDING else Finding(f"The bot is {state}: positions may only be closed.")


@refuses("limits.known")
def limits_known(ask: Ask) -> Finding | None:
    """Every limit of the account is a usable value; one that is not stops everything instead of nothing."""
    bad = ask.terms.unusable
    return Finding(f"These limits of the account hold no usable value: {', '.join(bad)}.") if bad else None


@remembered
def unusable(limits: Limits) -> tuple[str, ...]:
    """Return the names of the limits that are no usable values: no numbers, negative ones, sides nobody knows."""
    values = _VALUES(limits)
    return tuple(name for (name, usable), value in zip(_CHECKS, values, strict=True) if not usable(value))


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST  # a bool is an int as well


def _amount(value: object) -> bool:
    return known(value) and value >= 0  # type: ignore[operator]


_USABLE: Final[dict[Any, Callable[[object], bool]]] = {
    int: _count,
    Decimal: _amount,
    Decimal | None: lambda value: value is None or _amount(value),
    bool: lambda value: type(value) is bool,
    str: lambda value: isinstance(value, str) and value in SIDES,
}
_CHECKS: Final = tuple((name, _USABLE[kind]) for name, kind in get_type_hints(Limits).items())
_VALUES: Final[Callable[[Limits], tuple[object, ...]]] = attrgetter(*(name for name, _ in _CHECKS))


@refuses("standing.blocked")
def standing_blocked(ask: Ask) -> Finding | None:
    """No lock, incident or unresolved order bars entries on the symbol or on the whole account."""
    blocked = ask.terms.standing.blocked
    reason = blocked.get(ask.symbol) or blocked.get("")
    return Finding(f"Entries on {ask.symbol} are blocked: {reason}.") if reason else None


@refuses("history.known")
def history_known(ask: Ask) -> Finding | None:
    """What the account opened and closed lately is known, with times and results that can be compared."""
    muddle = ask.terms.muddle
    return Finding(f"What the account did lately is not known: {muddle}.") if muddle else None


def muddle_in(history: object, at: object) -> str:
    """Return what in the history is of no use, in words; "" when all of it can be compared with the moment `at`."""
    if not moment(at):
        return "the market does not say at which moment it was seen"
    if not isinstance(history, History):
        return "nobody has told it"
    if not all(map(moment, history.opened)):
        return "the time of an entry is none"
    if not {Ended}.issuperset(map(type, history.ended)) or not all(map(_SOUND, history.ended)):
        return "a result or a time of a position that ended is none"
    return ""


_SOUND: Final = attrgetter("sound")
"""A hundred positions are looked at before each ruling."""


@refuses("entries.hour", "opens_per_hour")
def entries_hour(ask: Ask) -> Finding | None:
    """Fewer than `opens_per_hour` entries were filled within the last hour, those of this decision included."""
    return _too_many(ask, HOUR, ask.limits.opens_per_hour, "hour")


@refuses("entries.day", "opens_per_day")
def entries_day(ask: Ask) -> Finding | None:
    """Fewer than `opens_per_day` entries were filled within the last 24 hours, those of this decision included."""
    return _too_many(ask, DAY, ask.limits.opens_per_day, "24 hours")


def _too_many(ask: Ask, span: timedelta, most: int, named: str) -> Finding | None:
    if len(ask.books.history.opened) < most:
        return None
    since = ask.at - span
    lately = [opened for opened in ask.books.history.opened if opened > since]
    if len(lately) < most:
        return None
    return Finding(
        f"{len(lately)} entries were made within the last {named}, and {most} are allowed.",
        {"entries": len(lately), "limit": most},
    )


@refuses("streak.losing", "losing_streak", "losing_pause_minutes")
def streak_losing(ask: Ask) -> Finding | None:
    """Not each of the last `losing_streak` positions lost, or `losing_pause_minutes` have passed since the last one."""
    count = ask.limits.losing_streak
    ended = ask.books.history.ended
    if not 0 < count <= len(ended):
        return None
    newest = sorted(ended, key=attrgetter("ended_at"))[-count:]
    until = newest[-1].ended_at + timedelta(minutes=ask.limits.losing_pause_minutes)
    if ask.at >= until or any(each.net >= 0 for each in newest):
        return None
    return Finding(
        f"The last {count} positions lost, {-sum(each.net for each in newest):.2f} together: "
        f"nothing is opened until {until:%Y-%m-%d %H:%M} {until.tzname()}.",
        {"losses": count, "limit": count, "minutes": ask.limits.losing_pause_minutes},
    )


STANDING: Final[tuple[Rule[Ask], ...]] = (
    account_state,
    bot_state,
    limits_known,
    standing_blocked,
    history_known,
    entries_hour,
    entries_day,
    streak_losing,
)
