"""Who is judged: an account, a bot, or a model on one market. Only what belongs to one owner comes together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet

from accounts.models import Account, Bot
from decisions.domain.providers import RULES
from marketdata.models import Feed
from trading.domain.performance_days import Zones
from trading.selectors.market import MarketView, view_of
from trading.selectors.performance import zones_of
from vibex.lib.together import read_together

ACCOUNT: Final = "account"
BOT: Final = "bot"
MODEL: Final = "model"
MOST_SYMBOLS: Final = 40
"""Symbols of which closes are read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whom, over which days of the account's time zone: `since` is included, `until` is not. `trials` raises their number."""

    account: int | None = None
    bot: int | None = None
    model: str = ""
    market: str = ""
    """Of a model: on which market; empty: on the first one on which it decides."""
    since: date | None = None
    until: date | None = None
    trials: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is judged. All accounts are on one market and of one owner."""

    kind: str
    key: str
    """As it stands in an address: `account-1`, `bot-2`, `model-sim-rules/trend`."""
    name: str
    accounts: tuple[Account, ...]
    bots: tuple[Bot, ...]
    """Whose doing is looked at; of an account all of its bots."""
    beside: tuple[Bot, ...]
    """All bots of the owner on the market: what was tried beside it."""
    model: str
    feed: Feed | None
    market: MarketView
    zones: Zones

    @property
    def account(self) -> Account:
        """The first account: days and fees are its."""
        return self.accounts[0]

    @property
    def symbols(self) -> tuple[str, ...]:
        """All symbols that its bots may trade, in their order."""
        return tuple(dict.fromkeys(symbol for bot in self.bots for symbol in bot.symbols))[:MOST_SYMBOLS]

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that decides for it now, rules left out."""
        named = [name for bot in self.bots for name in (bot.model, *bot.fallback_models, *bot.ensemble_models)]
        asked = [self.model] if self.model else named
        return tuple(name for name in dict.fromkeys(asked) if not name.startswith(f"{RULES}/"))

    @property
    def today(self) -> date:
        """The day that is not over yet, in the time of the market."""
        return self.zones.day_of(self.market.now)


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that can be chosen."""

    key: str
    name: str


class Owned(NamedTuple):
    """An account with its bots."""

    account: Account
    bots: tuple[Bot, ...]


def with_bots(accounts: QuerySet[Account]) -> list[Owned]:
    """Return accounts with their bots, by name. One query."""
    bots = Bot.objects.filter(account__in=accounts.order_by().values("pk")).order_by("pk")
    try:
        found = read_together(accounts=accounts.order_by("name", "pk"), bots=bots)
    except EmptyResultSet:  # of nobody's accounts nothing is asked
        return []
    of: defaultdict[int, list[Bot]] = defaultdict(list)
    by_key = {account.pk: account for account in found["accounts"]}
    for bot in found["bots"]:
        bot.account = by_key[bot.account_id]
        of[bot.account_id].append(bot)
    return [Owned(account, tuple(of[account.pk])) for account in found["accounts"]]


def choices_of(owned: Sequence[Owned]) -> dict[str, list[Choice]]:
    """Return what can be chosen: accounts, bots, and models by market."""
    pairs = [(account, bot) for account, bots in owned for bot in bots]
    models = dict.fromkeys((account.market, bot.model) for account, bot in pairs)
    return {
        "Accounts": [Choice(f"{ACCOUNT}-{each.pk}", f"{each.name} ({each.badge})") for each, _ in owned],
        "Bots": [Choice(f"{BOT}-{bot.pk}", f"{bot.name} on {account.name}") for account, bot in pairs],
        "Models": [Choice(f"{MODEL}-{market}-{model}", f"{model} on {market}") for market, model in models],
    }


def subject_of(owned: Sequence[Owned], asked: Asked) -> Subject | None:
    """Return who is asked for among the accounts of an owner; None for what is not there. Two queries."""
    pairs = [(account, bot) for account, bots in owned for bot in bots]
    if asked.bot is not None:
        mine = [(account, bot) for account, bot in pairs if bot.pk == asked.bot and asked.account in (None, account.pk)]
        name = f"{mine[0][1].name} on {mine[0][0].name}" if mine else ""
        return _made(owned, BOT, f"{BOT}-{asked.bot}", name, [each for each, _ in mine], [bot for _, bot in mine])
    if asked.account is not None:
        one = [each for each in owned if each.account.pk == asked.account]
        bots = [bot for each in one for bot in each.bots]
        name = one[0].account.name if one else ""
        return _made(owned, ACCOUNT, f"{ACCOUNT}-{asked.account}", name, [each.account for each in one], bots)
    deciding = [(account, bot) for account, bot in pairs if asked.model and bot.model == asked.model]
    market = asked.market or next((account.market for account, _ in deciding), "")
    mine = [(account, bot) for account, bot in deciding if account.market == market]
    key, name = f"{MODEL}-{market}-{asked.model}", f"{asked.model} on {market}"
    accounts = list({account.pk: account for account, _ in mine}.values())
    return _made(owned, MODEL, key, name, accounts, [bot for _, bot in mine], asked.model)


def _made(
    owned: Sequence[Owned],
    kind: str,
    key: str,
    name: str,
    accounts: Sequence[Account],
    bots: Sequence[Bot],
    model: str = "",
) -> Subject | None:
    if not accounts:
        return None
    market = accounts[0].market
    feed = Feed.objects.filter(venue=market).first()
    beside = tuple(bot for each in owned if each.account.market == market for bot in each.bots)
    return Subject(
        kind, key, name, tuple(accounts), tuple(bots), beside, model, feed, view_of(feed, market), zones_of(accounts[0])
    )


def asked_key(key: str) -> Asked | None:
    """Return what an address asks for by the key of a subject; None for what is no key."""
    kind, _, rest = key.partition("-")
    if kind == MODEL:
        market, _, model = rest.partition("-")
        return Asked(model=model, market=market) if model and market else None
    if kind not in (ACCOUNT, BOT) or not (rest.isascii() and rest.isdigit() and len(rest) < len(str(2**63))):
        return None
    return Asked(account=int(rest)) if kind == ACCOUNT else Asked(bot=int(rest))


def since_of(subject: Subject, days: int) -> date | None:
    """Return the first of so many whole days before today."""
    return date.fromordinal(subject.today.toordinal() - days)


def moments_of(subject: Subject, days: Sequence[date]) -> list[datetime]:
    """Return when the first of these days begins, and when each of them ends."""
    return [subject.zones.begin(days[0]), *(subject.zones.begin(date.fromordinal(day.toordinal() + 1)) for day in days)]
