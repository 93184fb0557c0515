"""A person whose bots, each on an account of its own, have some weeks of stored figures behind them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

from accounts.models import Account, Bot, User
from decisions.models import Cycle, Decision
from tests.support.demo import account_of, bot_of, person
from trading.models import EquityHour, EquityPoint, LossWatch, PerformanceDay

BOTS = [
    # name, model, drift of an hour, swing of an hour, days, share of gains, model cost of a day, prompt version
    ("trend", "rules/trend", 0.00009, 0.0021, 64, 0.52, "0", None),
    ("grok", "openrouter/x-ai/grok-4.3", 0.00016, 0.0034, 64, 0.55, "1.42", 1),
    ("deepseek", "openrouter/deepseek/deepseek-v4-flash", 0.00004, 0.0026, 64, 0.49, "0.21", 1),
    ("haiku", "openrouter/anthropic/claude-haiku-4.5", -0.00012, 0.0024, 12, 0.42, "0.55", 2),
]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
CENTS = Decimal("0.01")


def arena(now: datetime, email: str = "arena@vibex.local") -> User:
    """Return a person with four bots on the simulated market, which must be there."""
    owner = person(email)
    for place, (name, model, drift, swing, days, hits, cost, version) in enumerate(BOTS):
        account = account_of(owner, name)
        bot = bot_of(account, name, model=model, prompt_version=version, status=Bot.Status.RUNNING)
        _history(account, bot, now, random.Random(place + 3), drift, swing, days, hits, Decimal(cost))
    _decisions(list(Bot.objects.filter(account__owner=owner)), now, random.Random(7))
    return owner


def _history(
    account: Account, bot: Bot, now: datetime, dice: random.Random, drift: float, swing: float, days: int, hits: float,
    cost: Decimal,
) -> None:  # fmt: skip
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    equity, hours, rows = 10_000.0, [], []
    for back in range(days, -1, -1):
        begin = midnight - timedelta(days=back)
        first, seen = equity, [equity]
        for number in range(24):
            hour = begin + timedelta(hours=number)
            if hour + timedelta(hours=1) > now:
                break
            before, equity = equity, equity * (1 + dice.gauss(drift, swing))
            low, high = min(before, equity) * (1 - swing / 3), max(before, equity) * (1 + swing / 3)
            seen += [low, high, equity]
            hours.append(
                EquityHour(
                    account=account,
                    hour=hour,
                    first=before,
                    last=equity,
                    lowest=low,
                    highest=high,
                    points=120,
                    lowest_at=hour + timedelta(minutes=20),
                    highest_at=hour + timedelta(minutes=40),
                )
            )
        closed = dice.randrange(5)
        won = sum(dice.random() < hits for _ in range(closed))
        sums = {
            "opened": closed, "closed": closed, "won": won, "fills": 2 * closed, "cost": cost, "fees": Decimal("1.2") * closed,
            "realised": Decimal(equity - first).quantize(CENTS) + Decimal("1.2") * closed, "calls": 480, "decisions": 1440,
        }  # fmt: skip
        stated = {
            "equity_first": first, "equity_last": equity, "equity_lowest": min(seen), "equity_highest": max(seen),
        }  # fmt: skip
        exact = {key: Decimal(value).quantize(CENTS) for key, value in stated.items()}
        rows += [
            PerformanceDay(account=account, day=begin.date(), **sums, **exact),
            PerformanceDay(account=account, bot=bot, model=bot.model, day=begin.date(), **sums),
        ]
    EquityHour.objects.bulk_create(hours)
    PerformanceDay.objects.bulk_create(rows)
    worth = Decimal(equity).quantize(CENTS)
    EquityPoint.objects.create(
        account=account, at=now - timedelta(seconds=20), wallet=worth, unrealised=0, equity=worth
    )
    LossWatch.objects.create(
        account=account, at=now - timedelta(seconds=20), zone="UTC", day_ends=midnight + timedelta(days=1),
        day_equity=rows[-2].equity_first, day_transfers=10_000, equity=worth, transfers=10_000, unit=1, peak=1,
    )  # fmt: skip


def _decisions(bots: list[Bot], now: datetime, dice: random.Random) -> None:
    """Let the bots have decided on the same candles."""
    newest = datetime.fromtimestamp(now.timestamp() // 180 * 180, now.tzinfo)
    for back in range(40, 0, -1):
        for bot in bots:
            _decided(bot, newest - timedelta(minutes=3 * back), dice)


def _decided(bot: Bot, at: datetime, dice: random.Random) -> None:
    cycle = Cycle.objects.create(
        bot=bot,
        account=bot.account,
        scheduled_for=at,
        status="done",
        stage="publish",
        lease_until=at,
        began=at,
        ended=at,
    )
    asks = [dice.choices(("hold", "buy_to_enter", "sell_to_enter"), (8, 1, 1))[0] for _ in SYMBOLS]
    Decision.objects.bulk_create(
        Decision(
            cycle=cycle, bot=bot, sequence=sequence, symbol=symbol, action=action, at=at,
            verdict="accepted" if action == "hold" else dice.choice(("accepted", "reduced", "refused")),
            justification="ADX 14.2 is below 20 on 15m: no trend to follow." if action == "hold" else
            "EMA20 crossed EMA50 on 15m with ADX at 26; stop 2 × ATR14 away, target at twice the risk.",
        )
        for sequence, (symbol, action) in enumerate(zip(SYMBOLS, asks, strict=True), 1)
    )  # fmt: skip
