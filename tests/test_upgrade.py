"""What an older release stored is there after an upgrade, and a way back exists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = [pytest.mark.ci, pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]

AT = datetime(2025, 10, 10, 21, tzinfo=UTC)
BEFORE = [("accounts", "0001_initial"), ("marketdata", "0001_initial"), ("decisions", "0001_initial")]
SUMMARY = {
    "BTCUSDT": {"price": "104000", "age": 1.5, "problem": None},
    "ETHUSDT": {"price": "3400", "age": 61.0, "problem": "the last price is 61 s old"},
}


def migrated(targets: list[tuple[str, str]]):
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps


def cycle_that_saw(apps, snapshot) -> None:
    owner = apps.get_model("accounts", "User").objects.create(email="a@vibex.local")
    account = apps.get_model("accounts", "Account").objects.create(owner=owner, name="paper", venue="sim")
    bot = apps.get_model("accounts", "Bot").objects.create(
        account=account, name="trend", symbols=["BTCUSDT"], timeframes=["3m"]
    )
    apps.get_model("decisions", "Cycle").objects.create(
        bot=bot, account=account, scheduled_for=AT, status="done", lease_until=AT, snapshot=snapshot
    )


@pytest.fixture
def newest() -> Iterator[list[tuple[str, str]]]:
    """Give the newest migrations, which are applied again whatever the test did."""
    leaves = MigrationExecutor(connection).loader.graph.leaf_nodes()
    yield leaves
    migrated(leaves)


def test_snapshots_of_several_symbols_become_one_each_and_a_cycle_keeps_what_it_saw(newest):
    old = migrated(BEFORE)
    snapshot = old.get_model("marketdata", "Snapshot")
    row = snapshot.objects.create(venue="sim", at=AT, digest="a" * 64, summary=SUMMARY)
    cycle_that_saw(old, row)
    snapshot.objects.create(venue="sim", at=AT, digest="b" * 64, summary={})
    old.get_model("marketdata", "Feed").objects.create(venue="recorded", kind="recorded", market_at=AT)
    old.get_model("marketdata", "Candle").objects.create(
        venue="recorded", symbol="BTCUSDT", interval="1h", open_time=AT, open=1, high=2, low=1, close=1, volume=3,
        closed=True,
    )  # fmt: skip

    new = migrated(newest)
    cycle = new.get_model("decisions", "Cycle").objects.get()
    assert cycle.digest == "a" * 64
    assert cycle.seen["ETHUSDT"] == {**SUMMARY["ETHUSDT"], "digest": "a" * 64, "at": AT.isoformat()}
    rows = new.get_model("marketdata", "Snapshot").objects.order_by("symbol")
    assert {row.symbol: row.values for row in rows} == SUMMARY
    assert new.get_model("marketdata", "Feed").objects.get().interval == "1h"

    again = migrated(BEFORE).get_model("marketdata", "Snapshot").objects.get()
    assert (again.at, again.digest, again.summary) == (AT, "a" * 64, SUMMARY)


BEFORE_LIVE = [("accounts", "0001_initial"), ("trading", "0001_initial")]


def test_books_of_a_paper_account_are_kept_when_live_accounts_come_and_on_the_way_back(newest):
    old = migrated(BEFORE_LIVE)
    owner = old.get_model("accounts", "User").objects.create(email="a@vibex.local")
    account = old.get_model("accounts", "Account").objects.create(owner=owner, name="paper", venue="sim")
    old.get_model("accounts", "RiskLimits").objects.create(account=account, max_position=3, max_net=3)
    position = old.get_model("trading", "Position").objects.create(
        account=account, symbol="BTCUSDT", side="long", quantity=1, cost=100, entry_price=100, leverage=2, opened=AT
    )
    order = old.get_model("trading", "Order").objects.create(
        account=account, position=position, client_order_id="vx1", symbol="BTCUSDT", side="BUY", role="entry",
        type="MARKET", quantity=1,
    )  # fmt: skip
    old.get_model("trading", "Fill").objects.create(
        account=account, order=order, exchange_trade_id="7", symbol="BTCUSDT", side="BUY", quantity=1, price=100,
        fee="0.04", at=AT,
    )  # fmt: skip
    old.get_model("trading", "IncomeEntry").objects.create(
        account=account, kind="COMMISSION", transaction_id="9", symbol="BTCUSDT", amount="-0.04", at=AT
    )

    new = migrated(newest)
    kept = new.get_model("accounts", "Account").objects.get()
    assert (kept.mode, kept.foreign_positions, kept.promoted_from_id) == ("paper", "adopt", None)
    limits = new.get_model("accounts", "RiskLimits").objects.get()
    assert limits.trailing_stop is None
    assert [str(cap) for cap in (limits.max_position, limits.max_net, limits.max_gross)] == [
        "1.500000",
        "2.000000",
        "2.000000",
    ]
    fill, line = new.get_model("trading", "Fill").objects.get(), new.get_model("trading", "IncomeEntry").objects.get()
    assert (str(fill.fee), fill.fee_asset, fill.order.client_order_id) == ("0.04000000", "USDT", "vx1")
    assert (str(line.amount), line.asset) == ("-0.04000000", "USDT")

    again = migrated(BEFORE_LIVE)
    assert again.get_model("trading", "Fill").objects.get().order.client_order_id == "vx1"
    assert again.get_model("trading", "Position").objects.get().entry_price == 100


BEFORE_COLUMNS = [
    ("accounts", "0004_models_asked"),
    ("decisions", "0004_models_asked"),
    ("trading", "0003_risk_guard_halt"),
]


def test_entries_of_the_audit_trail_learn_which_account_and_bot_they_are_about(newest):
    old = migrated(BEFORE_COLUMNS)
    make = {model._meta.object_name: model.objects.create for model in old.get_models()}
    owner = make["User"](email="a@vibex.local")
    make["Account"](owner=owner, name="first", venue="sim")
    account = make["Account"](owner=owner, name="second", venue="sim")
    make["Bot"](account=account, name="idle", symbols=["BTCUSDT"], timeframes=["3m"])
    bot = make["Bot"](account=account, name="trend", symbols=["BTCUSDT"], timeframes=["3m"])
    cycle = make["Cycle"](bot=bot, account=account, scheduled_for=AT, status="done", lease_until=AT)
    held = make["Position"](
        account=account, bot=bot, symbol="BTCUSDT", side="long", quantity=1, peak_quantity=1, cost=1, entry_price=1,
        leverage=1, opened=AT,
    )  # fmt: skip
    ours, its = (account.pk, None), (account.pk, bot.pk)
    expected = {
        account: ours,
        make["RiskLimits"](account=account): ours,
        make["Credentials"](account=account, kind="agent", sealed="x"): ours,
        make["Incident"](account=account, kind="x", text="x"): ours,
        make["Incident"](kind="x", text="x"): (None, None),
        make["Lock"](account=account, reason="x"): ours,
        bot: its,
        held: its,
        make["Order"](account=account, bot=bot, client_order_id="vx1", symbol="BTCUSDT", side="BUY", role="entry",
                      type="MARKET", quantity=1): its,
        make["Order"](account=account, client_order_id="vx2", symbol="BTCUSDT", side="BUY", role="entry",
                      type="MARKET", quantity=1): ours,
        make["Decision"](bot=bot, cycle=cycle, sequence=0, symbol="BTCUSDT", action="hold", at=AT): its,
        make["OutsideText"](bot=bot, source="x", text="x", until=AT): its,
        owner: (None, None),
    }  # fmt: skip
    entry, wanted = old.get_model("accounts", "AuditEntry").objects.create, {}
    for row, keys in expected.items():
        wanted[entry(action="odd", object_type=row._meta.label_lower, object_id=str(row.pk)).pk] = keys
    gone, unknown = str(bot.pk + 7), (None, None)
    for kind, key, keys in [
        ("accounts.account", gone, (int(gone), None)),
        ("accounts.bot", gone, (None, int(gone))),
        ("accounts.bot", "None", unknown),
        ("trading.order", "9" * 40, unknown),
        ("trading.order", "-1", unknown),
        ("trading.position", str(held.pk + 7), unknown),
        ("of nothing", str(account.pk), unknown),
    ]:
        wanted[entry(action="odd", object_type=kind, object_id=key).pk] = keys

    told = migrated(newest).get_model("accounts", "AuditEntry").objects.values_list("pk", "account_id", "bot_id")
    assert {pk: keys for pk, *keys in told} == {pk: list(keys) for pk, keys in wanted.items()}

    assert migrated(BEFORE_COLUMNS).get_model("accounts", "AuditEntry").objects.count() == len(wanted)
