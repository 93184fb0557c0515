"""A person with results to judge: four months of days on a recorded market, trades of a model that may have known them."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import F

from accounts.models import Bot, User
from decisions.models import CatalogueModel
from tests.support.demo import account_of, bot_of, person
from tests.support.demo_market import market
from trading.models import PerformanceDay
from trading.tests import judged_kit as kit

VENUE = "past"
MODEL = "openrouter/x-ai/grok-4.3"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
DAYS = 120
EXITS = ("stop", "target", "close")


def results(email: str = "judged@vibex.local") -> User:
    """Return a person with a bot that has traded for DAYS days, and the same bot on a second account."""
    owner, dice = person(email), random.Random(17)
    market(kit.NOON, VENUE, kind="recorded", source="candles/past", running=False)
    CatalogueModel.objects.update_or_create(
        provider="openrouter", slug="x-ai/grok-4.3", defaults={"cutoff": date(2026, 9, 1)}
    )
    for symbol, start in zip(SYMBOLS, (64_000.0, 2_000.0, 90.0), strict=True):
        closes = [start]
        for _ in range(DAYS + 40):
            closes.append(closes[-1] * (1 + dice.gauss(0.001, 0.025)))
        kit.closes(symbol, closes, venue=VENUE)
    for name in ("first", "second"):
        bot = bot_of(
            account_of(owner, name, VENUE), "grok", model=MODEL, symbols=list(SYMBOLS), status=Bot.Status.RUNNING
        )
        kit.lives(bot, [dice.gauss(0.0016, 0.014) for _ in range(DAYS)], worth=10_000, cost="0.31", fills=4)
        _trades(bot, dice)
    return owner


def _trades(bot: Bot, dice: random.Random) -> None:
    for back in range(DAYS - 1, 0, -1):
        opened = kit.midnight(back) + timedelta(minutes=dice.randrange(24 * 60))
        if dice.random() < 0.3:
            continue
        stated = dice.choice((0.55, 0.62, 0.71, 0.84))
        side = dice.choice(("long", "short"))
        decision = kit.decided(
            bot, opened, dice.choice(SYMBOLS), action="buy_to_enter" if side == "long" else "sell_to_enter", cost="0.012",
            confidence=stated, model=MODEL,
        )  # fmt: skip
        position = kit.traded(
            bot, decision.symbol, opened, opened + timedelta(minutes=dice.randrange(8, 1_200)), entry="9000",
            result=str(Decimal(str(round(dice.gauss(12, 120), 2)))), side=side, fees="7.20",
            funding=str(round(dice.gauss(0, 0.2), 2)), why=dice.choice(EXITS), decision=decision,
        )  # fmt: skip
        assert position.closed is not None
        # What the day summed up, so that the sums beside the figures are not of another world.
        PerformanceDay.objects.filter(account=bot.account, day=position.closed.date()).update(
            closed=F("closed") + 1, won=F("won") + int(position.realised - position.fees + position.funding > 0),
            fees=F("fees") + position.fees, realised=F("realised") + position.fees - position.funding,
            funding=F("funding") + position.funding,
            turnover=F("turnover") + position.bought_value + position.sold_value,
        )  # fmt: skip
