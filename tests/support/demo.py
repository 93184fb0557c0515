"""A small, deterministic trading history for tests of the faces and for screenshots. Written through the ORM."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from accounts.models import Account, AuditEntry, Bot, Incident, LiveApproval, RiskLimits, User
from decisions.models import Afterwards, Cycle, Decision, DiaryEntry, Interaction, OutsideText, PromptTemplate
from marketdata.models import QuarantinedCandle, Snapshot
from tests.support.demo_alerts import alerts
from tests.support.demo_approval import waiting
from tests.support.demo_market import NOW, leftovers, market
from tests.support.demo_models import models
from tests.support.demo_venue import venue
from trading.models import (
    Claim,
    EquityPoint,
    Fill,
    GuardState,
    Halt,
    Lock,
    LossWatch,
    Order,
    OrderEvent,
    Position,
    Reconciliation,
)

PASSWORD = "correct horse battery"
HOSTILE = "<script>alert('from the model')</script>"
CENT = Decimal("0.01")

CLOSED = [
    # symbol, side, quantity, entry, exit, why, opened (hours ago), lasted (minutes)
    ("ETHUSDT", "long", "0.620", "2071.18", "2113.02", "target", 66, 214),
    ("BTCUSDT", "short", "0.017", "70120.4", "70688.9", "stop", 58, 47),
    ("SOLUSDT", "long", "14.20", "84.02", "86.91", "target", 49, 388),
    ("XRPUSDT", "long", "880.4", "1.4402", "1.4271", "stop", 40, 95),
    ("ETHUSDT", "short", "0.588", "2144.70", "2119.33", "close", 29, 160),
    ("DOGEUSDT", "short", "12800", "0.09711", "0.09742", "close", 20, 72),
    ("BTCUSDT", "long", "0.016", "70410.0", "71102.3", "target", 11, 266),
]

OPEN = [
    # symbol, side, quantity, entry, stop, target, leverage, opened (minutes ago), why
    (
        "BTCUSDT", "long", "0.018", "70866.2", "70190.0", "72240.0", 3, 66,
        ("EMA20 70,912 is above EMA50 70,655 on 15m and ADX 27.4 confirms the trend; MACD histogram turned up on 3m "
        "(+12.1) with RSI14 at 58. Stop 2.0 × ATR14 below the ask, target at 2.0 × the risk."),
    ),
    (
        "SOLUSDT", "short", "21.40", "89.14", "90.08", "87.20", 2, 21,
        ("Lower highs on 15m, EMA20 88.97 under EMA50 89.41, ADX 22.8. RSI14 41 on 3m with a falling MACD histogram. "
        "Funding is slightly positive, so the short is paid. Stop above the last swing."),
    ),
]  # fmt: skip

HOLDS = [
    ("ETHUSDT", "hold", "Trend is flat: ADX 14.2 is below 20 on 15m. Nothing to do until it picks a side."),
    ("XRPUSDT", "hold", "EMA20 1.4131 and EMA50 1.4128 are within 0.1 %. Waiting for them to part."),
    ("BTCUSDT", "hold", "Position runs as planned: 0.6 % in profit, the stop is 1.5 % away. The plan still stands."),
    ("SOLUSDT", "hold", "Short is 0.9 % in profit. RSI14 34 is low but the trend on 15m has not turned."),
]


@dataclass(slots=True)
class Demo:
    """What was written, for tests to find it again."""

    user: User
    account: Account
    bot: Bot
    now: datetime
    positions: list[Position] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    cycles: list[Cycle] = field(default_factory=list)
    entries: list[DiaryEntry] = field(default_factory=list)


def person(email: str = "operator@vibex.local", **fields: object) -> User:
    """Return a user whose password is PASSWORD."""
    return User.objects.create_user(email, PASSWORD, **fields)


def account_of(user: User, name: str = "paper", venue: str = "sim") -> Account:
    """Return a paper account with limits and nothing in it."""
    account = Account.objects.create(owner=user, name=name, venue=venue, starting_balance=Decimal(10_000))
    RiskLimits.objects.create(account=account)
    return account


def bot_of(account: Account, name: str = "trend", **fields: object) -> Bot:
    """Return a stopped bot on the built-in rules."""
    given: dict[str, object] = {
        "model": "rules/trend",
        "symbols": ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"],
        "interval": "3m",
        "timeframes": ["3m", "15m", "4h"],
    }
    return Bot.objects.create(account=account, name=name, **{**given, **fields})


def demo(
    email: str = "operator@vibex.local",
    *,
    now: datetime = NOW,
    name: str = "paper",
    feed: bool = True,
    cycles: int = 12,
    equity_points: int = 400,
    **user: object,
) -> Demo:
    """Return an operator with one running bot, three days of history and two open positions."""
    if feed:
        market(now)
    owner = person(email, **user)
    account = account_of(owner, name)
    bot = bot_of(account, status=Bot.Status.RUNNING, status_reason="started by operator")
    made = Demo(owner, account, bot, now)
    _closed_positions(made)
    _open_positions(made)
    _cycles(made, cycles)
    _equity(made, equity_points)
    _around(made)
    venue(account, made.orders, made.positions, opened=now - timedelta(hours=72))
    alerts(account)
    models(now)
    return made


def _cycle(made: Demo, at: datetime, **fields: object) -> Cycle:
    given: dict[str, object] = {
        "status": Cycle.Status.DONE,
        "stage": "publish",
        "lease_until": at + timedelta(seconds=90),
        "began": at + timedelta(seconds=11),
        "ended": at + timedelta(seconds=11, milliseconds=64),
        "timings": {
            "snapshot": 8.1, "portfolio": 2.4, "prompt": 0.0, "ask": 0.7, "read": 0.2, "rule": 0.6, "execute": 31.5,
            "record": 9.8, "publish": 0.4,
        },
    }  # fmt: skip
    cycle = Cycle.objects.create(bot=made.bot, account=made.account, scheduled_for=at, **{**given, **fields})
    made.cycles.append(cycle)
    return cycle


def _decision(
    made: Demo, cycle: Cycle, sequence: int, symbol: str, action: str, text: str, **fields: object
) -> Decision:
    given: dict[str, object] = {"verdict": "accepted", "confidence": 0.62}
    return Decision.objects.create(
        cycle=cycle, bot=made.bot, sequence=sequence, symbol=symbol, action=action, justification=text,
        at=cycle.scheduled_for, **{**given, **fields},
    )  # fmt: skip


def _write(
    made: Demo, at: datetime, kind: str, text: str, symbol: str = "", cycle: Cycle | None = None, **data: object
) -> None:
    entry = DiaryEntry.objects.create(bot=made.bot, cycle=cycle, at=at, kind=kind, symbol=symbol, text=text, data=data)
    made.entries.append(entry)


def _order(made: Demo, position: Position, role: str, at: datetime, **fields: object) -> Order:
    number = len(made.orders) + 1
    opening = {"long": "BUY", "short": "SELL"}[position.side]
    closing = {"long": "SELL", "short": "BUY"}[position.side]
    given: dict[str, object] = {
        "side": opening if role == "entry" else closing,
        "type": {"entry": "LIMIT", "stop": "STOP_MARKET", "target": "TAKE_PROFIT_MARKET", "close": "MARKET"}[role],
        "reduce_only": role == "close",
        "close_position": role in ("stop", "target"),
    }
    order = Order.objects.create(
        account=made.account, bot=made.bot, position=position, role=role, symbol=position.symbol, created=at,
        updated=at, client_order_id=f"vx{made.account.name[:4]}{made.account.pk}{number:04d}", exchange_id=str(9000 + number),
        **{**given, **fields},
    )  # fmt: skip
    made.orders.append(order)
    for sequence, (kind, state) in enumerate([("planned", "planned"), ("sent", "sending"), ("report", order.state)], 1):
        OrderEvent.objects.create(order=order, sequence=sequence, kind=kind, state=state, at=at)
    return order


def _fee(quantity: Decimal, price: Decimal) -> Decimal:
    return (quantity * price * Decimal("0.0004")).quantize(Decimal("0.00000001"))


def _fill(
    made: Demo, order: Order, quantity: Decimal, price: Decimal, at: datetime, realised: Decimal = Decimal(0)
) -> Fill:
    return Fill.objects.create(
        account=made.account, order=order, position=order.position, symbol=order.symbol, side=order.side, quantity=quantity,
        price=price, fee=_fee(quantity, price), realised=realised, at=at,
        exchange_trade_id=str(70_000 + order.pk),
    )  # fmt: skip


def _closed_positions(made: Demo) -> None:
    for symbol, side, quantity, entry, exit_, why, hours, minutes in CLOSED:
        opened = made.now - timedelta(hours=hours)
        closed = opened + timedelta(minutes=minutes)
        _closed(made, symbol, side, Decimal(quantity), Decimal(entry), Decimal(exit_), why, opened, closed)


def _closed(
    made: Demo,
    symbol: str,
    side: str,
    size: Decimal,
    entry: Decimal,
    exit_: Decimal,
    why: str,
    opened: datetime,
    closed: datetime,
) -> None:
    realised = (size * (exit_ - entry) * (1 if side == "long" else -1)).quantize(Decimal("0.00000001"))
    position = Position.objects.create(
        account=made.account, bot=made.bot, symbol=symbol, side=side, quantity=0, peak_quantity=size, cost=0,
        entry_price=entry, bought=size, bought_value=size * entry, sold=size, sold_value=size * exit_,
        exit_price=exit_, leverage=3, bracket="released", opened=opened, closed=closed, exit_reason=why, realised=realised,
        fees=_fee(size, entry) + _fee(size, exit_), funding=Decimal("-0.12"),
    )  # fmt: skip
    made.positions.append(position)
    done = {"state": "done", "reason": "filled", "quantity": size, "filled": size}
    first = _order(made, position, "entry", opened, price=entry, average_price=entry, **done)
    last = _order(made, position, why, closed, average_price=exit_, **done)
    _fill(made, first, size, entry, opened)
    _fill(made, last, size, exit_, closed, realised)
    _write(made, closed, "trade", f"Closed {side} {size} {symbol} at {exit_} by {why}.", symbol)


def _open_positions(made: Demo) -> None:
    for symbol, side, quantity, entry, stop, target, leverage, minutes, text in OPEN:
        opened = made.now - timedelta(minutes=minutes)
        cycle = _cycle(made, opened)
        action = "buy_to_enter" if side == "long" else "sell_to_enter"
        size = Decimal(quantity)
        decision = _decision(
            made, cycle, 1, symbol, action, text, asked_quantity=size * 2, asked_leverage=leverage, quantity=size,
            leverage=leverage, stop_loss=Decimal(stop), profit_target=Decimal(target), risk_usd=Decimal("24.34"),
            verdict="reduced", rule_ids=["size.risk"], invalidation_condition="15m close back across EMA50",
            hits=[{
                "rule": "size.risk", "effect": "reduced", "text": "The loss at the stop may be 1 % of equity.",
                "numbers": {"asked": str(size * 2), "allowed": quantity, "equity": "10,164.20"},
            }],
        )  # fmt: skip
        Afterwards.objects.create(
            decision=decision, end="open", entry_price=Decimal(entry), exit_price=Decimal(entry), net=Decimal("-0.83"),
            until=made.now, multiple=0.0, best=0.41, worst=-0.22,
        )  # fmt: skip
        position = _position(
            made, decision, symbol, side, size, Decimal(entry), Decimal(stop), Decimal(target), leverage, opened
        )
        first = _order(
            made, position, "entry", opened, state="done", reason="filled", quantity=size, filled=size, price=Decimal(entry),
            average_price=Decimal(entry), decision=decision, cycle=cycle,
        )  # fmt: skip
        _fill(made, first, size, Decimal(entry), opened)
        _order(made, position, "stop", opened, state="live", trigger=Decimal(stop), decision=decision, cycle=cycle)
        _order(made, position, "target", opened, state="live", trigger=Decimal(target), decision=decision, cycle=cycle)
        _write(made, opened, "decision", text, symbol, cycle, action=action, verdict="reduced", rules=["size.risk"])
        _write(
            made,
            opened,
            "trade",
            f"Opened {side} {size} {symbol} at {entry}, stop {stop}, target {target}.",
            symbol,
            cycle,
        )


def _position(
    made: Demo, decision: Decision, symbol: str, side: str, size: Decimal, entry: Decimal, stop: Decimal, target: Decimal,
    leverage: int, opened: datetime,
) -> Position:  # fmt: skip
    position = Position.objects.create(
        account=made.account, bot=made.bot, decision=decision, symbol=symbol, side=side, quantity=size, peak_quantity=size,
        bought=size, bought_value=size * entry, cost=size * entry, entry_price=entry, leverage=leverage,
        stop=stop, target=target, bracket="armed",
        protected_at=made.now - timedelta(seconds=18), opened=opened, fees=_fee(size, entry),
    )  # fmt: skip
    made.positions.append(position)
    return position


def _cycles(made: Demo, count: int) -> None:
    for index in range(count):
        at = made.now - timedelta(minutes=3 * (count - index)) + timedelta(seconds=5)
        failed = index == count // 3
        cycle = _cycle(
            made,
            at,
            **({"status": "failed", "stage": "ask", "error": "The model server did not answer."} if failed else {}),
        )
        interaction = _interaction(made, cycle)
        if failed:
            _write(made, at, "error", "The model server did not answer in 30 s: everything holds.", "", cycle)
            continue
        for sequence, (symbol, action, text) in enumerate(HOLDS, 1):
            _decision(made, cycle, sequence, symbol, action, text, interaction=interaction)
            _write(made, at, "hold", text, symbol, cycle, action=action)


def _interaction(made: Demo, cycle: Cycle) -> Interaction:
    return Interaction.objects.create(
        bot=made.bot, cycle=cycle, model_requested="openrouter/deepseek/deepseek-chat-v3.1", template="arena v1",
        model_served="deepseek/deepseek-chat-v3.1", system_prompt="You are a trading agent.", prompt_digest="5f" * 32,
        user_prompt=f"It has been 198 minutes since you started trading. {HOSTILE}\n\nALL BTC DATA\ncurrent_price = 71284.6",
        reply='{"decisions": [{"symbol": "ETHUSDT", "signal": "hold", "justification": "' + HOSTILE + '"}]}',
        finish_reason="stop", prompt_tokens=6120, completion_tokens=412, cost=Decimal("0.00231"), latency_ms=4180,
        outcome="answered", at=cycle.began, provider="openrouter", http_status=200, cached_tokens=4890,
        parameters={"format": "json_schema strict", "effort": "low", "max_tokens": 4000},
    )  # fmt: skip


def _equity(made: Demo, count: int) -> None:
    """Write a curve that ends where the books end."""
    walk = random.Random(7)
    booked = sum((position.realised - position.fees + position.funding for position in made.positions), Decimal(0))
    end = float(made.account.starting_balance + booked)
    points = []
    for index in range(count + 1):
        share = index / count
        at = made.now - timedelta(hours=72) * (1 - share)
        drift = (
            10_000 + (end - 10_000) * share + 45 * math.sin(share * 9) * (1 - share) + walk.gauss(0, 6) * (1 - share)
        )
        wallet = Decimal(drift).quantize(CENT)
        unrealised = Decimal(20 * math.sin(share * 40)).quantize(CENT)
        points.append(
            EquityPoint(account=made.account, at=at, wallet=wallet, unrealised=unrealised, equity=wallet + unrealised)
        )
    EquityPoint.objects.bulk_create(points)
    last, began = points[-1], made.now.replace(hour=0, minute=0, second=0, microsecond=0)
    day = next((point for point in points if point.at >= began), last)
    LossWatch.objects.create(
        account=made.account, at=last.at, zone="UTC", day_ends=began + timedelta(days=1), day_equity=day.equity,
        day_transfers=0, equity=last.equity, transfers=0, unit=Decimal("1.008"), peak=Decimal("1.021"),
    )  # fmt: skip


def _around(made: Demo) -> None:
    now, account = made.now, made.account
    _write(made, now - timedelta(hours=71), "state", "Started by operator.")
    waiting(made.cycles[-1], now=now)
    Incident.objects.create(
        account=account, kind="order-late", severity="warning", opened=now - timedelta(minutes=44),
        text="The stop of SOLUSDT was confirmed after 4.2 s; normal is below 1 s.",
    )  # fmt: skip
    Incident.objects.create(
        account=account, kind="feed-gap", severity="error", opened=now - timedelta(hours=30), text="Two candles of XRPUSDT were missing.",
        resolved=now - timedelta(hours=29),
    )  # fmt: skip
    AuditEntry.objects.create(
        actor=made.user, action="limits-change", object_type="accounts.risklimits", object_id=str(account.limits.pk),
        account_id=account.pk, before={"risk_per_trade": "0.020000", "losing_pause_minutes": 90, "trailing_stop": "0.015000"},
        after={"risk_per_trade": "0.010000", "losing_pause_minutes": 240, "trailing_stop": None}, at=now - timedelta(hours=50),
    )  # fmt: skip
    AuditEntry.objects.create(
        actor=made.user, action="bot-running", object_type="accounts.bot", object_id=str(made.bot.pk), account_id=account.pk,
        bot_id=made.bot.pk, before={"status": "stopped"}, after={"status": "running"}, at=now - timedelta(hours=71),
    )  # fmt: skip
    Lock.objects.create(
        account=account, symbol="DOGEUSDT", reason="Two stops in a row were refused by the exchange.", since=now
    )
    LiveApproval.objects.create(account=account, actor=made.user, revoked=now, revoked_by=made.user)
    Halt.objects.create(
        account=account, actor=made.user, reason="The venue looked wrong.", at=now, pressed=now, flat_at=now, seconds=0.8,
        lifted=now, lifted_by=made.user,
    )  # fmt: skip
    Claim.objects.create(account=account, symbol="BTCUSDT", holder="guard", until=now)
    looked = now - timedelta(seconds=12)
    GuardState.objects.create(account=account, since=now - timedelta(hours=1), at=looked, full_at=looked, seconds=0.1)
    Reconciliation.objects.create(account=account, at=now - timedelta(minutes=12), trigger="hourly", agreed=True)
    PromptTemplate.objects.get_or_create(name="arena", version=1, defaults={"text": "You are a trading agent."})
    OutsideText.objects.create(bot=made.bot, source="desk", text="The venue announced maintenance.", author=made.user)
    Snapshot.objects.get_or_create(venue="sim", symbol="BTCUSDT", at=now, digest="ab" * 32, values={"last": "64000"})
    leftovers(now)
    QuarantinedCandle.objects.get_or_create(
        venue="sim", symbol="XRPUSDT", interval="1m", open_time=now - timedelta(hours=30),
        defaults={"values": {"open": 1.4, "high": 1.3}, "reason": "high below open"},
    )  # fmt: skip
