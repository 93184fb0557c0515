"""Random histories of an account, written through the ORM as time goes on: what stored figures are summed from."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from random import Random

from accounts.models import Account, Bot
from accounts.services import account_change, audit_write
from decisions.models import Cycle, Decision, Interaction
from trading.models import EquityPoint, Fill, IncomeEntry, Order, PerformanceDay, Position
from trading.tests.builders import make_account, make_bot

BEGIN = datetime(2026, 3, 25, 20, tzinfo=UTC)
"""Four days before clocks change in Europe."""
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Pacific/Auckland")
MODELS = ("openrouter/x-ai/grok-4.3", "openrouter/deepseek/v4")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
NUMBER = itertools.count(1)


@dataclass
class History:
    """An account that lives at random; everything is dated within the time that has passed."""

    random: Random
    account: Account
    bots: list[Bot]
    now: datetime = BEGIN
    equity: D = D(10_000)
    transfers: D = D(10_000)
    open: dict[str, Position] = field(default_factory=dict)

    @classmethod
    def begin(cls, seed: int) -> History:
        random = Random(seed)
        account = make_account(f"paper{next(NUMBER)}", time_zone=random.choice(ZONES))
        bots = [
            make_bot(f"asks{next(NUMBER)}", account=account, model=MODELS[0]),
            make_bot(f"rules{next(NUMBER)}", account=account, model="rules/trend"),
        ]
        return cls(random, account, bots)

    def live(self, hours: float, *, events: int = 12) -> None:
        """Let some time pass in which things happen."""
        until = self.now + timedelta(hours=hours)
        moments = sorted(self.now + (until - self.now) * self.random.random() for _ in range(events))
        for at in moments:
            self.now = at
            self.random.choices(
                (self._trade, self._state, self._ask, self._fund, self._decide, self._transfer, self._rezone),
                (5, 6, 4, 3, 2, 0.5, 0.15),
            )[0](at)
        self.now = until
        self._state(until - timedelta(microseconds=1))

    def cash(self, low: float, high: float) -> D:
        return D(str(round(self.random.uniform(low, high), 8)))

    def _state(self, at: datetime) -> None:
        self.equity += self.cash(-40, 41)
        EquityPoint.objects.update_or_create(
            account=self.account,
            at=at,
            defaults={
                "wallet": self.equity,
                "unrealised": 0,
                "equity": self.equity,
                "transfers": self.transfers,
            },
        )

    def _transfer(self, at: datetime) -> None:
        moved = self.cash(-500, 900)
        self.equity, self.transfers = self.equity + moved, self.transfers + moved
        self._income("TRANSFER", "", moved, at)

    def _income(self, kind: str, symbol: str, amount: D, at: datetime) -> None:
        IncomeEntry.objects.create(
            account=self.account, kind=kind, transaction_id=str(next(NUMBER)), symbol=symbol, amount=amount, at=at
        )

    def _decision(self, at: datetime) -> Decision:
        bot = self.random.choice(self.bots)
        cycle = Cycle.objects.create(
            bot=bot, account=self.account, scheduled_for=at, status="done", lease_until=at, began=at
        )
        asked = self._call(bot, at, cycle) if bot.model in MODELS else None
        return Decision.objects.create(
            cycle=cycle, interaction=asked, bot=bot, sequence=0, symbol="BTCUSDT", action="hold", at=at
        )

    def _decide(self, at: datetime) -> None:
        self._decision(at)

    def _ask(self, at: datetime) -> None:
        self._call(self.bots[0], at, None)

    def _call(self, bot: Bot, at: datetime, cycle: Cycle | None) -> Interaction:
        said = self.random.random() < 0.7
        return Interaction.objects.create(
            bot=bot,
            cycle=cycle,
            provider="openrouter",
            model_requested=self.random.choice(MODELS).removeprefix("openrouter/"),
            cost=self.cash(0, 0.05) if said else None,
            estimate=None if said else self.cash(0, 0.1),
            prompt_tokens=self.random.randrange(9_000),
            completion_tokens=self.random.randrange(900),
            outcome="answered",
            at=at,
        )

    def _fund(self, at: datetime) -> None:
        for symbol, position in self.open.items():
            amount = self.cash(-2, 2)
            self._income("FUNDING_FEE", symbol, amount, at)
            position.funding += amount
            position.save()

    def _trade(self, at: datetime) -> None:
        symbol = self.random.choice(SYMBOLS)
        if (position := self.open.get(symbol)) is None:
            self._open(symbol, at)
        else:
            self._fill(position, at, closing=True)
            position.quantity, position.closed = D(0), at
            position.save()
            del self.open[symbol]

    def _open(self, symbol: str, at: datetime) -> None:
        decision = self._decision(at) if self.random.random() < 0.85 else None  # else by hand, elsewhere
        position = Position.objects.create(
            account=self.account,
            bot=decision.bot if decision else None,
            decision=decision,
            symbol=symbol,
            side="long",
            quantity=1,
            cost=100,
            entry_price=100,
            opened=at,
        )
        self.open[symbol] = position
        self._fill(position, at, closing=False)

    def _fill(self, position: Position, at: datetime, *, closing: bool) -> None:
        name = f"vx{next(NUMBER)}"
        order = Order.objects.create(
            account=self.account, bot=position.bot, position=position, client_order_id=name, symbol=position.symbol,
            side="SELL" if closing else "BUY", role="close" if closing else "entry", type="MARKET", state="done",
        )  # fmt: skip
        foreign = self.random.random() < 0.1
        fill = Fill.objects.create(
            account=self.account, order=order, position=position, symbol=position.symbol, exchange_trade_id=name,
            side=order.side, quantity=self.cash(0.01, 3), price=self.cash(50, 150), fee=self.cash(0.01, 1),
            fee_asset="BNB" if foreign else "USDT", realised=self.cash(-30, 33) if closing else 0, at=at,
        )  # fmt: skip
        position.realised += fill.realised
        position.fees += D(0) if foreign else fill.fee
        position.save()

    def _rezone(self, at: datetime) -> None:
        before = self.account.time_zone
        account_change(account=self.account, actor=None, time_zone=self.random.choice(ZONES))
        entries = _entries("accounts.account", self.account.pk)
        entries.filter(
            after__time_zone=self.account.time_zone,
            before__time_zone=before,
            at__gte=datetime.now(UTC) - timedelta(minutes=1),
        ).update(at=at)

    def change_model(self, model: str) -> None:
        """Let the bot of rules follow others from now on."""
        bot = self.bots[1]
        before, bot.model = bot.model, model
        bot.save()
        entry = audit_write(actor=None, action="bot-change", obj=bot, before={"model": before}, after={"model": model})
        _entries("accounts.bot", bot.pk).filter(pk=entry.pk).update(at=self.now)


def _entries(kind: str, key: int):
    from accounts.models import AuditEntry

    return AuditEntry.objects.filter(object_type=kind, object_id=str(key))


def rows_of(account: Account) -> list[dict[str, object]]:
    """Return the stored days without their keys."""
    columns = [column.name for column in PerformanceDay._meta.fields if column.name not in ("id", "account")]
    return list(PerformanceDay.objects.filter(account=account).order_by("day", "bot", "model").values(*columns))


def hours_of(account: Account) -> list[dict[str, object]]:
    """Return the stored hours without their keys."""
    return list(
        account.equity_hours.order_by("hour").values(
            "hour", "first", "lowest", "highest", "last", "lowest_at", "highest_at", "points"
        )
    )
