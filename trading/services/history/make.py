"""Make the history: market, people, then the life of each account in one transaction of its own.

A kill leaves only whole accounts behind; the same command goes on where it was. Nothing of it touches a database in
which somebody trades.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Final

import numpy as np
from django.db import OperationalError, connection, transaction
from numpy.typing import NDArray

from accounts.models import Account, Bot, User
from accounts.services import account_create
from accounts.services.bots import bot_create
from decisions.models import Cycle, Decision, DiaryEntry, Interaction
from marketdata.domain.snapshot import Quote
from marketdata.models import Candle, Feed
from marketdata.services import candles_upsert, instruments_upsert, ticker_put
from trading.domain.losses import carried
from trading.models import (
    EquityPoint,
    Fill,
    IncomeEntry,
    LossWatch,
    Order,
    OrderEvent,
    PaperAccount,
    PerformanceState,
    Position,
)
from trading.services.history.candles import MINUTE_MS, VENUE, candles_of, spec_of, ticks_of
from trading.services.history.plan import END, EVERY, PRICES, STARTING, Plan
from trading.services.history.rows import COLUMNS, MADE, MODEL, Keys
from trading.services.history.tables import keys_reserve, rows_put, settle
from trading.services.history.trips import Ticks, Trip, trips_of
from trading.services.performance import performance_rebuild
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.connections import unhurried
from vibex.lib.errors import Rejected

OWNER: Final = "history@vibex.local"
TABLES: Final = {
    "cycles": Cycle,
    "interactions": Interaction,
    "decisions": Decision,
    "diary": DiaryEntry,
    "positions": Position,
    "orders": Order,
    "order events": OrderEvent,
    "fills": Fill,
    "ledger": IncomeEntry,
    "equity": EquityPoint,
}
TRIES: Final = 3
TRADED: Final = 4
"""Symbols of each bot."""

type Told = Callable[[str, int], None]
"""Called with a table and how many rows of it were written."""


def history_make(*, plan: Plan, told: Told, beside: bool = False) -> None:
    """Make what is missing of the plan's history. Raises Rejected for a database that holds something else.

    With `beside` it may hold something else, but never a live account.
    """
    _allowed(plan, beside=beside)
    _begin(plan)
    ticks = {symbol: _patiently(_candles, symbol, plan, told) for symbol in PRICES}
    for number in range(plan.accounts):
        _patiently(_life, number, ticks, plan, told)
    for account in Account.objects.filter(owner__email=OWNER).order_by("pk"):
        if not PerformanceState.objects.filter(account=account, equity_until__isnull=False).exists():
            _patiently(performance_rebuild, account, now=END)
    _patiently(settle)


def _patiently[**P, R](work: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """Do a piece of the work without the limits of a page, and once more when the connection broke: each piece is whole."""
    for tries_left in reversed(range(TRIES)):
        try:
            with unhurried(connection):
                return work(*given, **named)
        except OperationalError:
            if not tries_left or connection.in_atomic_block:
                raise
            connection.close()
    raise AssertionError


def _allowed(plan: Plan, *, beside: bool) -> None:
    made = Feed.objects.filter(venue=VENUE).first()
    if Account.objects.filter(mode=Account.Mode.LIVE).exists():
        raise Rejected(
            "This database holds a live account; a made history never goes beside one. Use a database of its own."
        )
    if made is not None and made.source != plan.source:
        what = made.source or "a recording"
        raise Rejected(f"This database holds “{what}” at the venue {VENUE}. Use a database of its own.")
    if made is None and not beside and (found := _strangers()):
        raise Rejected(f"This database holds {found}, which was not made by this. Use an empty one, or say --beside.")


def _strangers() -> str:
    counts = {"people": User, "accounts": Account, "candles": Candle, "cycles": Cycle, "orders": Order}
    return ", ".join(name for name, model in counts.items() if model._default_manager.exists())


def _begin(plan: Plan) -> None:
    """Make feed, contracts, the person, the accounts and their bots: all of them, or nothing."""
    if Feed.objects.filter(venue=VENUE).exists():
        return
    with transaction.atomic():
        Feed.objects.create(
            venue=VENUE, kind=Feed.Kind.RECORDED, source=plan.source, seed=plan.seed, market_at=END, running=False
        )
        instruments_upsert(specs=[spec_of(symbol) for symbol in PRICES])
        owner = User.objects.create_user(OWNER, None)
        for number in range(plan.accounts):
            account = account_create(
                owner=owner, name=plan.account_name(number), venue=VENUE, starting_balance=STARTING
            )
            bot_create(
                account=account, name="made", model=MODEL, symbols=symbols_of(number), interval="3m",
                timeframes=["3m", "15m"],
            )  # fmt: skip


def symbols_of(number: int) -> tuple[str, ...]:
    """Return what the bot of account `number` trades: the next few of the list, so that all have their share."""
    names = list(PRICES)
    return tuple(names[(number * TRADED + place) % len(names)] for place in range(TRADED))


def _candles(symbol: str, plan: Plan, told: Told) -> Mapping[str, NDArray[np.int64]]:
    """Write the candles of a symbol, unless they are there, and return its prices in ticks."""
    last = from_ms(to_ms(END) - MINUTE_MS)
    if not Candle.objects.filter(venue=VENUE, symbol=symbol, interval="1m", open_time=last).exists():
        candles = candles_of(symbol, plan)
        candles_upsert(venue=VENUE, candles=candles, closed=True)
        ticker_put(venue=VENUE, quotes=[_quote(symbol, candles.close[-1])])
    told("candles", plan.minutes)
    return ticks_of(symbol, plan)


def _quote(symbol: str, price: float) -> Quote:
    spec = spec_of(symbol)
    middle = Decimal(str(price))
    return Quote(
        symbol,
        END,
        middle,
        middle - spec.tick_size,
        middle + spec.tick_size,
        middle,
        Decimal("0.0001"),
        END + 8 * EVERY,
    )


def _life(number: int, ticks: Ticks, plan: Plan, told: Told) -> None:
    """Write all that an account did, in one transaction, unless it is there."""
    account = Account.objects.get(owner__email=OWNER, name=plan.account_name(number))
    bot = Bot.objects.get(account=account)
    if Cycle.objects.filter(bot=bot).exists():
        for table in TABLES:
            told(table, plan.rows[table] // plan.accounts)
        return
    trips = list(trips_of(number, symbols_of(number), ticks, plan))
    with transaction.atomic():
        first = {table: keys_reserve(model, plan.rows[table] // plan.accounts) for table, model in TABLES.items()}
        keys = Keys(account.pk, bot.pk, first)
        for table, model in TABLES.items():
            rows_put(model, COLUMNS[table], MADE[table](trips, keys), partial(told, table))
        _standing(account, trips)


def _standing(account: Account, trips: list[Trip]) -> None:
    """Write what the newest rows say of an account: its watch on losses, and its wallet at the paper venue."""
    last = trips[-1]
    watch = carried(None, equity=last.wallet, transfers=STARTING, at=last.trades[-1].at, zone=account.time_zone)
    LossWatch.objects.create(account=account, **watch.stored())
    PaperAccount.objects.create(
        account=account, wallet=last.wallet, next_id=len(trips) * 20, opened=trips[0].at - EVERY
    )
