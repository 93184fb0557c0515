"""A hundred thousand rows in every table that the API lists: one row is made as the project makes it, the others by SQL.

Of four accounts three belong to the person who asks; what is listed is found among what is another's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

ROWS = 100_000
ACCOUNTS = 4
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
DAYS, HOURS = 365, 8_760
WORDS = "EMA20 is above EMA50 on 15m and ADX confirms the trend; MACD turned up on 3m with RSI14 at 58. "


def filled(rows: int = ROWS, accounts: int = ACCOUNTS, venue: str = "sim") -> Any:
    """Fill the database that Django is set up for; return the person who asks. The last account is another's."""
    person = _people(accounts, venue)
    _asked(rows, accounts)
    _traded(rows, accounts)
    _told(rows, accounts, person)
    _figures(accounts)
    _settled()
    return person


def _people(accounts: int, venue: str) -> Any:
    from accounts.models import User
    from accounts.services import account_create
    from accounts.services.bots import bot_create

    person = User.objects.create_user("bench@example.com", "a password of a benchmark")
    stranger = User.objects.create_user("stranger@example.com", "a password of a benchmark")
    for number in range(1, accounts + 1):
        account = account_create(owner=stranger if number == accounts else person, name=f"a{number}", venue=venue)
        timeframes = ["3m", "15m"]
        bot_create(
            account=account, name=f"b{number}", model="m/m", symbols=["BTCUSDT"], interval="3m", timeframes=timeframes
        )
    return person


def _asked(rows: int, accounts: int) -> None:
    from decisions.models import Cycle, Decision, DiaryEntry, Interaction

    cycle = Cycle.objects.create(
        bot_id=1, account_id=1, scheduled_for=BEGIN, status=Cycle.Status.DONE, stage="publish", lease_until=BEGIN,
        began=BEGIN, ended=BEGIN, timings={"snapshot": 8.1, "ask": 0.7}, kept={"v": 1, "words": WORDS * 8},
    )  # fmt: skip
    times = ("scheduled_for", "began", "ended")
    copied(cycle, rows, accounts, times, bot_id="account", account_id="account")
    call = Interaction.objects.create(
        bot_id=1, cycle_id=1, provider="m", model_requested="m", model_served="m", system_prompt=WORDS * 4,
        user_prompt=WORDS * 8, reply=WORDS * 4, prompt_tokens=2_000, completion_tokens=300, cost=Decimal("0.01"),
        outcome="answered", at=BEGIN,
    )  # fmt: skip
    copied(call, rows, accounts, ("at",), bot_id="account", cycle_id="n")
    decision = Decision.objects.create(
        cycle_id=1, interaction_id=1, bot_id=1, sequence=0, symbol="BTCUSDT", action="buy_to_enter", at=BEGIN,
        asked_quantity=Decimal("0.1"), quantity=Decimal("0.1"), leverage=3, stop_loss=Decimal(99), confidence=0.7,
        profit_target=Decimal(120), justification=WORDS, invalidation_condition="Close below EMA50.",
        verdict="accepted", rule_ids=["size.risk"], hits=[{"rule": "size.risk", "limit": "0.01", "value": "0.008"}],
    )  # fmt: skip
    copied(decision, rows, accounts, ("at",), bot_id="account", cycle_id="n", interaction_id="n")
    entry = DiaryEntry.objects.create(
        bot_id=1, cycle_id=1, at=BEGIN, kind="decision", symbol="BTCUSDT", text=WORDS, data={"price": "101.5"}
    )
    copied(entry, rows, accounts, ("at",), bot_id="account", cycle_id="n")


def _traded(rows: int, accounts: int) -> None:
    from trading.models import Fill, Order, Position

    position = Position.objects.create(
        account_id=1, bot_id=1, decision_id=1, symbol="BTCUSDT", side="long", quantity=0, peak_quantity=Decimal("0.1"),
        cost=0, entry_price=Decimal("70123.4"), exit_price=Decimal("70999.9"), leverage=3, stop=Decimal(69000),
        target=Decimal(72000), bracket="released", opened=BEGIN, closed=BEGIN, exit_reason="target",
        realised=Decimal("87.65"), fees=Decimal("5.61"), funding=Decimal("-0.2"),
    )  # fmt: skip
    copied(position, rows, accounts, ("opened", "closed"), account_id="account", bot_id="account", decision_id="n")
    order = Order.objects.create(
        account_id=1, bot_id=1, cycle_id=1, decision_id=1, position_id=1, client_order_id="vx1", role="entry",
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="IOC", quantity=Decimal("0.1"),
        price=Decimal("70200"), state="done", filled=Decimal("0.1"), average_price=Decimal("70123.4"),
        exchange_id="123456789", created=BEGIN, sent_at=BEGIN, updated=BEGIN,
    )  # fmt: skip
    linked = {"cycle_id": "n", "decision_id": "n", "position_id": "n", "client_order_id": "'vx' || n"}
    copied(order, rows, accounts, ("created", "sent_at", "updated"), account_id="account", bot_id="account", **linked)
    fill = Fill.objects.create(
        account_id=1, order_id=1, position_id=1, symbol="BTCUSDT", exchange_trade_id="1", side="BUY",
        quantity=Decimal("0.1"), price=Decimal("70123.4"), fee=Decimal("2.8"), at=BEGIN,
    )  # fmt: skip
    trade = {"order_id": "n", "position_id": "n", "exchange_trade_id": "CAST(n AS VARCHAR(20))"}
    copied(fill, rows, accounts, ("at",), account_id="account", **trade)


def _told(rows: int, accounts: int, person: Any) -> None:
    from accounts.models import Alert, AuditEntry, Incident, Job

    alert = Alert.objects.create(
        user=person, account_id=1, bot_id=1, type="position-closed", severity="info", subject="BTCUSDT", message=WORDS,
        created=BEGIN, last=BEGIN,
    )  # fmt: skip
    copied(alert, rows, accounts, ("created", "last"))
    AuditEntry.objects.all().delete()  # of making the accounts
    entry = AuditEntry.objects.create(
        pk=1, actor=person, via="session", address="127.0.0.1", action="limits-change", object_type="accounts.risklimits",
        object_id="1", account_id=1, bot_id=1, before={"max_leverage": 3}, after={"max_leverage": 5}, at=BEGIN,
    )  # fmt: skip
    copied(entry, rows, accounts, ("at",), account_id="account", bot_id="account")
    incident = Incident.objects.create(
        account_id=1, kind="money-mismatch", text=WORDS, data={"subject": "BTCUSDT"}, opened=BEGIN, resolved=BEGIN
    )
    copied(incident, rows, accounts, ("opened", "resolved"), account_id="account")
    job = Job.objects.create(
        owner=person, kind="cycle", account_id=1, bot_id=1, request={"reason": "look"}, status="done",
        progress=[{"at": BEGIN.isoformat(), "text": "asked"}], result={"cycle": 1}, created=BEGIN, ended=BEGIN,
        alive_until=BEGIN,
    )  # fmt: skip
    copied(job, rows, accounts, ("created", "ended", "alive_until"))


def _figures(accounts: int) -> None:
    """A year of days of each account, and what balances are told from."""
    from trading.models import EquityPoint, LossWatch, PerformanceDay, PerformanceState, Position

    equity = dict.fromkeys(("equity_first", "equity_last", "equity_lowest", "equity_highest"), 10000)
    for account in range(1, accounts + 1):
        days = [BEGIN.date() - timedelta(days=number) for number in range(DAYS)]
        sums = {
            "opened": 5,
            "closed": 5,
            "won": 3,
            "fills": 10,
            "turnover": 70_000,
            "realised": 12,
            "fees": 3,
            "gain": 14,
        }
        rows = [PerformanceDay(account_id=account, day=day, **sums, **equity) for day in days]
        rows += [PerformanceDay(account_id=account, bot_id=account, model="m/m", day=day, **sums) for day in days]
        PerformanceDay.objects.bulk_create(rows, batch_size=30)
        PerformanceState.objects.create(account_id=account)
        watch = {"day_equity": 10_000, "day_transfers": 0, "equity": 10_000, "transfers": 0, "unit": 1, "peak": 1}
        LossWatch.objects.create(account_id=account, at=BEGIN, zone="UTC", day_ends=BEGIN + timedelta(days=1), **watch)
        EquityPoint.objects.bulk_create(
            EquityPoint(account_id=account, at=BEGIN + timedelta(minutes=n), wallet=1, unrealised=0, equity=1)
            for n in range(2_000)
        )
        Position.objects.create(
            account_id=account, symbol="ETHUSDT", side="long", quantity=1, cost=10, entry_price=10, opened=BEGIN,
            pk=10**7 + account,
        )  # fmt: skip


def copied(row: Any, rows: int, accounts: int, times: tuple[str, ...], **columns: str) -> None:
    """Make `rows` rows of one: each a minute later than the one before, with these columns as SQL of its number `n`.

    `account` stands for the account whose turn it is.
    """
    from django.db import connection

    table, account = row._meta.db_table, f"1 + n % {accounts}"
    own = {"id": "n", **dict.fromkeys(times, _later(connection.vendor)), **columns}
    own = {name: account if sql == "account" else sql for name, sql in own.items()}
    names = [column.column for column in row._meta.fields]
    values = ", ".join(own.get(name, f'm."{name}"') for name in names)
    quoted = ", ".join(f'"{name}"' for name in names)
    numbers = f"WITH RECURSIVE s(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})"
    with connection.cursor() as cursor:
        cursor.execute(
            f'{numbers} INSERT INTO "{table}" ({quoted}) SELECT {values} FROM "{table}" m, s WHERE m.id = {row.pk}'
        )


def _later(vendor: str) -> str:
    if vendor == "postgresql":
        return f"timestamptz '{BEGIN:%Y-%m-%d %H:%M}+00' + n * interval '1 minute'"
    return f"strftime('%Y-%m-%d %H:%M:%S', '{BEGIN:%Y-%m-%d %H:%M:%S}', n || ' minutes')"


def _settled() -> None:
    """Let the database know what it holds, as it does by itself in time."""
    from django.apps import apps
    from django.core.management.color import no_style
    from django.db import connection

    with connection.cursor() as cursor:
        # Rows came with their ids.
        for statement in connection.ops.sequence_reset_sql(no_style(), apps.get_models()):
            cursor.execute(statement)
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def equity_year(account_id: int, points: int) -> None:
    """Write a point a minute, oldest first: a random walk, the same each time. Its hours are summed as the project does."""
    import numpy as np

    from accounts.models import Account
    from trading.models import EquityPoint
    from trading.services.performance import performance_rebuild

    EquityPoint.objects.filter(account=account_id).delete()
    walk = 10_000 + np.random.default_rng(7).normal(0, 4, points).cumsum()
    for start in range(0, points, 20_000):
        EquityPoint.objects.bulk_create(
            [
                EquityPoint(
                    account_id=account_id, at=BEGIN + timedelta(minutes=start + n), wallet=1, unrealised=0,
                    equity=Decimal(str(round(value, 2))),
                )
                for n, value in enumerate(walk[start : start + 20_000].tolist())
            ],
            batch_size=100,
        )  # fmt: skip
    performance_rebuild(Account.objects.get(pk=account_id))
    _settled()
