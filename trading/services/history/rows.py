"""Trips as rows of every table, in the order of its columns as they are named here. Pure.

Keys are counted from the ones that were reserved: the rows of an account lie beside each other, as its days did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from decisions.domain.proposal import Side
from trading.domain.books import BookedPosition
from trading.domain.venue import IncomeKind, OrderSide, OrderType
from trading.services.history.plan import (
    DECISIONS_PER_CYCLE,
    ENTRIES_PER_CYCLE,
    EVENTS_PER_ORDER,
    EVERY,
    FILLS_PER_CYCLE,
    ORDERS_PER_CYCLE,
    STARTING,
)
from trading.services.history.trips import OPENING, Trip

MODEL: Final = "openrouter/deepseek/deepseek-v4-flash"
WORDS: Final = "EMA20 is above EMA50 on 15m and ADX confirms the trend; MACD turned up on 3m with RSI14 at 58. "
TIMINGS: Final = json.dumps(
    {"snapshot": 8.1, "portfolio": 3.2, "ask": 1840.5, "rule": 1.4, "execute": 210.7, "record": 2.9}
)
ASKED: Final = timedelta(seconds=2)
ENTRY, STOP, TARGET, STOP_MOVED, TARGET_MOVED = range(ORDERS_PER_CYCLE)

type Row = tuple[Any, ...]

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "cycles": ("id", "bot_id", "account_id", "scheduled_for", "status", "stage", "lease_until", "began", "ended", "timings"),
    "interactions": (
        "id", "bot_id", "cycle_id", "provider", "model_requested", "model_served", "template", "system_prompt",
        "user_prompt", "reply", "http_status", "finish_reason", "prompt_tokens", "completion_tokens", "cost",
        "latency_ms", "outcome", "at",
    ),
    "decisions": (
        "id", "cycle_id", "interaction_id", "bot_id", "sequence", "symbol", "action", "asked_quantity",
        "asked_leverage", "stop_loss", "profit_target", "confidence", "invalidation_condition", "justification",
        "verdict", "quantity", "leverage", "at",
    ),
    "diary": ("id", "bot_id", "cycle_id", "at", "kind", "symbol", "text"),
    "positions": (
        "id", "account_id", "bot_id", "decision_id", "symbol", "side", "quantity", "peak_quantity", "cost", "bought",
        "bought_value", "sold", "sold_value", "entry_price", "exit_price", "leverage", "stop", "target", "bracket",
        "protected_at", "opened", "closed", "exit_reason", "realised", "fees",
    ),
    "orders": (
        "id", "account_id", "bot_id", "cycle_id", "decision_id", "position_id", "client_order_id", "role", "symbol",
        "side", "type", "time_in_force", "quantity", "price", "trigger", "close_position", "state", "reason",
        "filled", "average_price", "exchange_id", "created", "sent_at", "updated",
    ),
    "order events": ("id", "order_id", "sequence", "kind", "state", "data", "at"),
    "fills": (
        "id", "account_id", "order_id", "position_id", "symbol", "exchange_trade_id", "side", "quantity", "price",
        "fee", "realised", "at",
    ),
    "ledger": ("id", "account_id", "kind", "transaction_id", "symbol", "amount", "trade_id", "at"),
    "equity": ("id", "account_id", "at", "wallet", "unrealised", "equity", "transfers"),
}  # fmt: skip
"""What is told of each table; all other columns have the default of their field."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Whose rows they are, and the key of the first row of each table."""

    account: int
    bot: int
    first: dict[str, int]

    def of(self, table: str, cycle: int, per_cycle: int = 1, place: int = 0) -> int:
        return self.first[table] + cycle * per_cycle + place


def cycles(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    for n, trip in enumerate(trips):
        began, ended = trip.at + ASKED / 2, trip.at + timedelta(seconds=25)
        lease = trip.at + timedelta(seconds=90)
        yield keys.of("cycles", n), keys.bot, keys.account, trip.at, "done", "publish", lease, began, ended, TIMINGS


def interactions(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    provider, _, slug = MODEL.partition("/")
    for n, trip in enumerate(trips):
        key, cost = keys.of("interactions", n), Decimal(2_000 + n % 700) / 1_000_000
        yield (
            key, keys.bot, keys.of("cycles", n), provider, slug, slug, "arena#1", WORDS * 4,
            f"It is {trip.at:%F %T} UTC. {WORDS * 12}", f'{{"{trip.symbol}": "{WORDS}"}}', 200, "stop",
            4_000 + n % 500, 200 + n % 90, cost, 1_200 + n % 900, "answered", trip.at + ASKED,
        )  # fmt: skip


def decisions(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    for n, trip in enumerate(trips):
        asked = "buy_to_enter" if trip.position.side is Side.LONG else "sell_to_enter"
        belongs = (keys.of("cycles", n), keys.of("interactions", n), keys.bot)
        at, size = trip.at + ASKED, trip.position.bought
        yield (
            keys.of("decisions", n, DECISIONS_PER_CYCLE), *belongs, 0, trip.symbol, asked, size, 3, trip.stop,
            trip.target, 0.5 + n % 40 / 100, "Close beyond EMA50.", WORDS, "accepted", size, 3, at,
        )  # fmt: skip
        yield (
            keys.of("decisions", n, DECISIONS_PER_CYCLE, 1), *belongs, 1, trip.other, "hold", None, None, None, None,
            0.5, "", WORDS, "accepted", None, None, at,
        )  # fmt: skip


def diary(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    for n, trip in enumerate(trips):
        for place, (kind, symbol) in enumerate((("decision", trip.symbol), ("decision", trip.other))):
            key = keys.of("diary", n, ENTRIES_PER_CYCLE, place)
            yield key, keys.bot, keys.of("cycles", n), trip.at + ASKED, kind, symbol, WORDS


def positions(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    for n, trip in enumerate(trips):
        made = trip.position
        yield (
            keys.of("positions", n), keys.account, keys.bot, keys.of("decisions", n, DECISIONS_PER_CYCLE),
            trip.symbol, made.side.value, made.quantity, made.peak, made.cost, made.bought, made.bought_value, made.sold,
            made.sold_value, short(made.entry_price), short(made.sold_value / made.sold), 3, trip.stop, trip.target,
            "released", trip.trades[1].at, made.opened_at, made.closed_at, "stop" if trip.stopped else "target",
            made.realised, made.fees,
        )  # fmt: skip


def orders(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    for n, trip in enumerate(trips):
        made, first = trip.position, keys.of("orders", n, ORDERS_PER_CYCLE)
        belongs = (keys.account, keys.bot, keys.of("cycles", n), keys.of("decisions", n, DECISIONS_PER_CYCLE))
        for place, (role, kind, price, trigger, when) in enumerate(_sent(trip)):
            entry, done = place == ENTRY, place == _ending(trip)
            side = OrderSide.to_open(made.side) if entry else OrderSide.to_close(made.side)
            ended = trip.trades[OPENING - 1 if entry else -1].at
            filled = made.bought if entry or done else Decimal(0)
            average = short(_average(made, entry=entry)) if filled else None
            yield (
                first + place, *belongs, keys.of("positions", n), client_id(first + place), role, trip.symbol, side.value,
                kind.value, "IOC" if entry else "", made.bought if entry else None, price, trigger, not entry, "done",
                "filled" if filled else "cancelled", filled, average, str(first + place), when, when, ended,
            )  # fmt: skip


def order_events(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    for n, trip in enumerate(trips):
        for place, (*_, when) in enumerate(_sent(trip)):
            order = keys.of("orders", n, ORDERS_PER_CYCLE, place)
            key = keys.first["order events"] + (n * ORDERS_PER_CYCLE + place) * EVENTS_PER_ORDER
            filled = place in (ENTRY, _ending(trip))
            data = {"filled": str(trip.position.bought if filled else 0), "reason": "filled" if filled else "cancelled"}
            yield key, order, 1, "planned", "planned", "{}", when
            yield (
                key + 1,
                order,
                2,
                "report",
                "done",
                json.dumps(data),
                trip.trades[OPENING - 1 if place == ENTRY else -1].at,
            )


def fills(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    for n, trip in enumerate(trips):
        for place, trade in enumerate(trip.trades):
            order = keys.of("orders", n, ORDERS_PER_CYCLE, ENTRY if place < OPENING else _ending(trip))
            yield (
                keys.of("fills", n, FILLS_PER_CYCLE, place), keys.account, order, keys.of("positions", n), trip.symbol,
                trade.trade_id, trade.side.value, trade.quantity, trade.price, trade.fee, trade.realised, trade.at,
            )  # fmt: skip


def ledger(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    key = keys.first["ledger"]
    yield key, keys.account, IncomeKind.TRANSFER.value, "0", "", STARTING, "", trips[0].at - EVERY
    for trip in trips:
        for place, trade in enumerate(trip.trades):
            lines = [(IncomeKind.COMMISSION.value, -trade.fee)]
            if place >= OPENING:
                lines.append((IncomeKind.REALIZED_PNL.value, trade.realised))
            for kind, amount in lines:
                key += 1
                yield key, keys.account, kind, str(key), trip.symbol, amount, trade.trade_id, trade.at


def equity(trips: Sequence[Trip], keys: Keys) -> Iterator[Row]:
    for n, trip in enumerate(trips):
        at = trip.trades[-1].at + timedelta(seconds=5)
        yield keys.of("equity", n), keys.account, at, trip.wallet, Decimal(0), trip.wallet, STARTING


MADE: Final = {
    "cycles": cycles,
    "interactions": interactions,
    "decisions": decisions,
    "diary": diary,
    "positions": positions,
    "orders": orders,
    "order events": order_events,
    "fills": fills,
    "ledger": ledger,
    "equity": equity,
}
"""By table, what makes its rows; what others refer to comes first."""


def client_id(order: int) -> str:
    """Return the client order id of a made order: as long as those of the house."""
    return f"vxhist{order:026}"


def short(price: Decimal) -> Decimal:
    """Return an average on as many digits as every database keeps."""
    return Decimal(f"{price:.10g}")


def _average(made: BookedPosition, *, entry: bool) -> Decimal:
    return made.bought_value / made.bought if entry else made.sold_value / made.sold


def _ending(trip: Trip) -> int:
    return STOP_MOVED if trip.stopped else TARGET_MOVED


def _sent(trip: Trip) -> tuple[tuple[str, OrderType, Decimal | None, Decimal | None, datetime], ...]:
    """Return role, type, price, trigger and time of each order of a trip: the entry, its bracket, the bracket moved."""
    first, moved = trip.trades[0].at, trip.trades[1].at + timedelta(seconds=20)
    return (
        ("entry", OrderType.LIMIT, trip.trades[0].price, None, first - timedelta(seconds=1)),
        ("stop", OrderType.STOP_MARKET, None, trip.stop, first + timedelta(seconds=1)),
        ("target", OrderType.TAKE_PROFIT_MARKET, None, trip.target, first + timedelta(seconds=2)),
        ("stop", OrderType.STOP_MARKET, None, trip.stop, moved),
        ("target", OrderType.TAKE_PROFIT_MARKET, None, trip.target, moved + timedelta(seconds=1)),
    )
