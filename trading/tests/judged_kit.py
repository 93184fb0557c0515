"""Small books to be judged: days, closes at the ends of days, and positions. The market stands still at NOON of TODAY."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from accounts.models import Account, Bot, User
from decisions.models import Cycle, Decision, Interaction
from marketdata.models import Candle
from tests.support.demo import account_of, bot_of, person
from tests.support.demo_market import market
from trading.models import PerformanceDay, Position
from trading.selectors.judged.lived import Lived, lived_by
from trading.selectors.judged.subject import Asked, Subject, subject_of, with_bots

TODAY = date(2026, 11, 29)
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
A_DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def a_market(**fields: object) -> None:
    """Make the market `sim`, whose time stands still: a recorded one where nothing else is said."""
    market(NOON, **{"kind": "recorded", "running": False, **fields})


def midnight(back: int) -> datetime:
    """Return when the day that was so many days before TODAY began."""
    return datetime.combine(TODAY - A_DAY * back, time(), UTC)


def a_bot(owner: User | None = None, name: str = "one", **fields: object) -> Bot:
    """Return a bot on an account of its own."""
    owner = owner or person()
    return bot_of(account_of(owner, name), name, **{"symbols": ["BTCUSDT", "ETHUSDT"], **fields})


def lives(bot: Bot, returns: Sequence[float], *, worth: float = 1_000.0, cost: str = "0", **sums: object) -> None:
    """Let a bot have had these returns on the days before TODAY, the last one yesterday, alone on its account."""
    equity, rows = worth, []
    for place, returned in enumerate(returns):
        day, before = TODAY - A_DAY * (len(returns) - place), equity
        equity = before * (1 + returned)
        told = {"day": day, "cost": Decimal(cost), "realised": _money(equity - before), "fills": 2, **sums}
        stated = {
            "equity_first": _money(before), "equity_last": _money(equity), "equity_lowest": _money(min(before, equity)),
            "equity_highest": _money(max(before, equity)),
        }  # fmt: skip
        rows += [
            PerformanceDay(account=bot.account, **told, **stated),
            PerformanceDay(account=bot.account, bot=bot, model=bot.model, **told),
        ]
    PerformanceDay.objects.bulk_create(rows)


def closes(symbol: str, prices: Sequence[float], *, venue: str = "sim") -> None:
    """Let a symbol have had these closes at the ends of days, the last one at the end of yesterday."""
    Candle.objects.bulk_create(
        Candle(
            venue=venue, symbol=symbol, interval="1m", open_time=midnight(len(prices) - 1 - place) - MINUTE, open=price,
            high=price, low=price, close=price, volume=1, closed=True,
        )
        for place, price in enumerate(prices)
    )  # fmt: skip


def traded(
    bot: Bot, symbol: str, opened: datetime, closed: datetime | None, *, entry: str = "100", result: str = "0",
    side: str = "long", fees: str = "0", funding: str = "0", why: str = "close", decision: Decision | None = None,
) -> Position:  # fmt: skip
    """Return a position of one unit of a symbol."""
    value = Decimal(entry)
    leave = value + Decimal(result) * (1 if side == "long" else -1)
    return Position.objects.create(
        account=bot.account, bot=bot, decision=decision, symbol=symbol, side=side, quantity=0 if closed else 1,
        peak_quantity=1, cost=0 if closed else value, bought=1, bought_value=value, sold=1 if closed else 0,
        sold_value=leave if closed else 0, entry_price=value, exit_price=leave if closed else None, opened=opened,
        closed=closed, exit_reason=why if closed else "", realised=Decimal(result), fees=Decimal(fees),
        funding=Decimal(funding),
    )  # fmt: skip


def decided(
    bot: Bot, at: datetime, symbol: str = "BTCUSDT", *, action: str = "buy_to_enter", cost: str | None = None,
    confidence: float | None = None, model: str = "", outcome: str = "answered", verdict: str = "accepted",
) -> Decision:  # fmt: skip
    """Return a decision in a cycle of its own, asked of a model where one is named."""
    cycle = Cycle.objects.create(
        bot=bot, account=bot.account, scheduled_for=at, status="done", lease_until=at, began=at
    )
    asked = None
    if model:
        provider, _, name = model.partition("/")
        asked = Interaction.objects.create(
            bot=bot, cycle=cycle, provider=provider, model_requested=name, cost=cost, outcome=outcome, used=True, at=at,
            purpose="cycle",
        )  # fmt: skip
    return Decision.objects.create(
        cycle=cycle, bot=bot, interaction=asked, sequence=1, symbol=symbol, action=action, at=at, verdict=verdict,
        confidence=confidence,
    )  # fmt: skip


def judged(owner: User, **asked: object) -> tuple[Subject, Lived, Asked]:
    """Return who is judged with the days that were lived."""
    wanted = Asked(**asked)
    subject = subject_of(with_bots(Account.objects.filter(owner=owner)), wanted)
    assert subject is not None
    return subject, lived_by(subject, wanted), wanted


def _money(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal("1e-8"))
