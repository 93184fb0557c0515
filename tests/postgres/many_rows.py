"""Enough rows in every large table that a plan without an index would be another one. Made by the server itself, in SQL."""

from __future__ import annotations

from typing import Any

from django.db import connection, models

from accounts.models import (
    Account,
    Alert,
    AlertDelivery,
    ApiKey,
    AuditEntry,
    Bot,
    IdempotentCall,
    Incident,
    Job,
    SignIn,
)
from decisions.models import Afterwards, Cycle, Decision, DiaryEntry, Interaction
from marketdata.models import Candle, FundingRate, OpenInterest, Snapshot
from trading.models import (
    EquityHour,
    EquityPoint,
    Fill,
    IncomeEntry,
    Lock,
    Order,
    OrderEvent,
    PaperAccount,
    PaperIncome,
    PaperOrder,
    PaperTrade,
    PerformanceDay,
    Position,
    Reconciliation,
)

ACCOUNTS = 60
CYCLES = 9_000
"""Of all bots together; the other tables follow."""
AGO = "now() - interval '200 days' + interval '3 minutes' * (g.i / {accounts})"


def fill(accounts: list[Account], bots: list[Bot]) -> None:
    """Give each account and bot its share, in the past, and let the server count."""
    _references_checked(False)  # what they are checked by costs more than the rows
    _fill(accounts, bots)
    _references_checked(True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _fill(accounts: list[Account], bots: list[Bot]) -> None:
    own, ours = _array(accounts), _array(bots)
    account, bot = f"({own})[1 + g.i % {len(accounts)}]", f"({ours})[1 + g.i % {len(bots)}]"
    ago = AGO.format(accounts=len(accounts))
    owner = f"(SELECT owner_id FROM accounts_account WHERE id = {account})"
    many = _series(CYCLES)
    insert(Cycle, many, bot=bot, account=account, scheduled_for=ago, began=ago, ended=ago, lease_until=ago,
           status="'done'", stage="'filled'")  # fmt: skip
    cycles = "decisions_cycle c"
    of_cycle = {"bot": "c.bot_id", "cycle": "c.id"}
    insert(Interaction, cycles, "c.stage = 'filled'", **of_cycle, at="c.began", model_requested="'test/model'",
           outcome="'answered'", user_prompt="repeat('market ', 60)", reply="repeat('hold ', 40)", cost="0.01",
           prompt_tokens="6000", used="true", attempt="0", purpose="'cycle'", provider="'test'")  # fmt: skip
    twice = f"{cycles} CROSS JOIN {_series(2)}"
    insert(Decision, twice, "c.stage = 'filled'", **of_cycle, sequence="g.i", symbol="'BTCUSDT'", action="'hold'",
           verdict="'accepted'", at="c.began", kind="'live'")  # fmt: skip
    insert(DiaryEntry, twice, "c.stage = 'filled'", **of_cycle, at="c.began", kind="'hold'", symbol="'BTCUSDT'",
           text="'nothing to do until the trend turns'")  # fmt: skip
    insert(Afterwards, "decisions_decision d", "d.id % 5 = 0 AND NOT EXISTS (SELECT 1 FROM decisions_afterwards a WHERE a.decision_id = d.id)",
           decision="d.id", end="'stop'", until="d.at", entry_price="1", exit_price="1")  # fmt: skip
    insert(Position, many, account=account, bot=bot, symbol="'BTCUSDT'", side="'long'", quantity="0", opened=ago,
           closed=ago, realised="1", bracket="'released'", exit_reason="'stop'", cost="0", entry_price="1")  # fmt: skip
    insert(Order, _series(2 * CYCLES), account=account, bot=bot, symbol="'BTCUSDT'", client_order_id="'filled' || g.i",
           origin="'ours'", role="'entry'", side="'BUY'", type="'LIMIT'", state="'done'", created=ago, updated=ago,
           quantity="1", filled="1")  # fmt: skip
    orders = "trading_order o"
    done = "o.client_order_id LIKE 'filled%'"
    insert(OrderEvent, f"{orders} CROSS JOIN {_series(2)}", done, order="o.id", sequence="g.i", kind="'done'",
           state="'done'", at="o.created")  # fmt: skip
    insert(Fill, orders, done, account="o.account_id", order="o.id", symbol="o.symbol", exchange_trade_id="'f' || o.id",
           side="'BUY'", quantity="1", price="1", fee="0.1", fee_asset="'USDT'", at="o.created")  # fmt: skip
    insert(IncomeEntry, orders, done, account="o.account_id", kind="'COMMISSION'", transaction_id="'f' || o.id",
           symbol="o.symbol", amount="0.1", asset="'USDT'", at="o.created")  # fmt: skip
    insert(EquityPoint, _series(24_000), account=account, at=f"{ago} + g.i * interval '1 microsecond'", wallet="1",
           unrealised="0", equity="1", transfers="0")  # fmt: skip
    insert(EquityHour, _series(9_000), account=account, hour=f"date_trunc('hour', now()) - interval '1 hour' * (100 + g.i / {len(accounts)})",
           lowest_at=ago, highest_at=ago)  # fmt: skip
    insert(PerformanceDay, _series(9_000), account=account, bot=bot, model="'test/model'",
           day=f"current_date - 10 - (g.i / {len(accounts)})")  # fmt: skip
    insert(Reconciliation, many, account=account, at=ago, trigger="'hourly'", agreed="true")
    insert(Lock, many, account=account, symbol="'BTCUSDT'", reason="'filled'", since=ago, lifted=ago)
    insert(
        Incident, many, account=account, kind="'told'", severity="'warning'", text="'filled'", opened=ago, resolved=ago
    )
    insert(AuditEntry, many, action="'bot-running'", object_type="'accounts.bot'", object_id=bot, account_id=account,
           bot_id=bot, at=ago)  # fmt: skip
    insert(Alert, many, user=owner, account=account, type="'trade'", severity="'info'", message="'filled'", created=ago,
           last=ago, acknowledged=ago)  # fmt: skip
    insert(AlertDelivery, "accounts_alert a", "a.message = 'filled' AND EXISTS (SELECT 1 FROM accounts_alertchannel)",
           channel="(SELECT min(id) FROM accounts_alertchannel)", alert="a.id", state="'sent'", due="a.created")  # fmt: skip
    insert(SignIn, many, user=owner, kind="'session'", session_key="'filled' || g.i", created=ago, seen=ago, ended=ago)
    insert(ApiKey, many, user=owner, name="'filled'", prefix="'f' || g.i", digest="'x'", created=ago, revoked=ago)
    insert(IdempotentCall, many, user=owner, key="'filled' || g.i", digest="'x'", created="now()")
    insert(Job, many, owner=owner, kind="'backtest'", status="'done'", created=ago, ended=ago, alive_until="now()")
    insert(PaperAccount, "accounts_account a", "NOT EXISTS (SELECT 1 FROM trading_paperaccount p WHERE p.account_id = a.id)",
           account="a.id", wallet="1")  # fmt: skip
    paper = f"(SELECT id FROM trading_paperaccount WHERE account_id = {account})"
    insert(PaperOrder, many, paper=paper, exchange_id="1000000 + g.i", client_order_id="'filled' || g.i",
           symbol="'BTCUSDT'", side="'BUY'", type="'LIMIT'", status="'FILLED'", quantity="1", created=ago, updated=ago)  # fmt: skip
    insert(PaperTrade, many, paper=paper, trade_id="1000000 + g.i", exchange_id="1000000 + g.i",
           client_order_id="'filled' || g.i", symbol="'BTCUSDT'", side="'BUY'", quantity="1", price="1", at=ago)  # fmt: skip
    insert(PaperIncome, many, paper=paper, transaction_id="1000000 + g.i", kind="'COMMISSION'", amount="0", at=ago)
    symbols = "(ARRAY['AAAUSDT', 'BBBUSDT', 'CCCUSDT'])[1 + g.i % 3]"
    insert(Candle, _series(60_000), venue="'sim'", symbol=symbols, interval="'1m'",
           open_time="date_trunc('minute', now()) - interval '30 days' - interval '1 minute' * (g.i / 3)", open="1", high="1",
           low="1", close="1", volume="1", closed="true")  # fmt: skip
    for model, columns in (
        (Snapshot, {"digest": "md5(g.i::text)", "values": "'{}'"}),
        (OpenInterest, {}),
        (FundingRate, {}),
    ):
        insert(model, many, venue="'sim'", symbol=symbols, at=f"{ago} + interval '1 second' * g.i", **columns)


def insert(model: type[models.Model], source: str, where: str = "true", /, **given: str) -> None:
    """Insert one row for each of the source; what is not given is what an empty form would give."""
    columns = {
        field.column: given.pop(field.name, None) or _empty(field)
        for field in model._meta.concrete_fields
        if not isinstance(field, models.AutoField | models.BigAutoField | models.CompositePrimaryKey)
    }
    assert not given, f"{model.__name__} has no {', '.join(given)}"
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{model._meta.db_table}" ({names}) SELECT {", ".join(columns.values())} FROM {source} WHERE {where}'
        )


def _empty(field: models.Field[Any, Any]) -> str:
    if field.null:
        return "NULL"
    if isinstance(field, models.JSONField):
        return "'[]'" if field.default is list else "'{}'"
    if isinstance(field, models.DateTimeField):
        return "now()"
    if isinstance(field, models.BooleanField):
        return "true" if field.default is True else "false"
    return "''" if isinstance(field, models.CharField | models.TextField) else "0"


def _references_checked(yes: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET session_replication_role = {'DEFAULT' if yes else 'replica'}")


def _series(count: int) -> str:
    return f"generate_series(1, {count}) AS g(i)"


def _array(rows: list[Any]) -> str:
    return f"ARRAY[{', '.join(str(row.pk) for row in rows)}]"
