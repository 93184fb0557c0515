"""A made history: its books agree, its keys hold, the same seed makes the same rows, and it goes beside nothing that is live."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import Account, User
from decisions.models import Cycle
from marketdata.models import Candle
from trading.models import Fill, LossWatch, Order, PaperAccount, Position
from trading.services.history import make
from trading.services.history.candles import VENUE, candles_of
from trading.services.history.plan import END, PRICES, Plan
from trading.services.history.tables import keys_reserve
from trading.services.performance import performance_agrees
from trading.services.reconcile import reconcile_dry
from trading.services.tie_out import money_check
from vibex.lib.env import ROOT
from vibex.tests.running import KEPT

SCALE = "0.00004"
"""Forty cycles of one account."""
PLAN = Plan.of(float(SCALE), 7)


def made(**options: Any) -> str:
    out = StringIO()
    call_command("make_history", scale=float(SCALE), stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def history(db: None) -> Account:
    made()
    return Account.objects.get()


def rows_of(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def digest() -> str:
    """Return what all rows that were made say, but for the keys and what the clock gave."""
    orders = Order.objects.order_by("created", "pk").values_list(
        "symbol", "side", "trigger", "filled", "created", "role"
    )
    fills = Fill.objects.order_by("at").values_list("symbol", "quantity", "price", "fee", "realised", "at")
    candles = Candle.objects.order_by("symbol", "open_time").values_list("symbol", "open_time", "open", "close", "low")
    return hashlib.sha256(repr([list(orders), list(fills), list(candles)]).encode()).hexdigest()


def test_it_has_as_many_rows_as_its_scale_says(history: Account) -> None:
    found = {name: rows_of(model._meta.db_table) for name, model in make.TABLES.items()}
    assert found | {"candles": rows_of(Candle._meta.db_table)} == PLAN.rows


@pytest.mark.django_db(transaction=True)  # the paper venue commits on its own
def test_its_books_agree_with_its_ledger_its_figures_and_its_exchange(history: Account) -> None:
    assert money_check(history, now=END, everything=True, telling=False) == []
    assert performance_agrees(history)
    compared = reconcile_dry(history)
    assert (compared.differences, compared.money, compared.left) == ([], [], [])
    assert PaperAccount.objects.get().wallet == LossWatch.objects.get().equity


def test_every_reference_leads_to_a_row(history: Account) -> None:
    connection.check_constraints()  # raises IntegrityError


def test_every_position_is_what_its_fills_make_it_and_each_price_lies_in_its_candle(history: Account) -> None:
    low, high = {}, {}
    for symbol, at, lowest, highest in Candle.objects.values_list("symbol", "open_time", "low", "high"):
        low[symbol, at], high[symbol, at] = lowest, highest
    for position in Position.objects.prefetch_related("fills"):
        fills = list(position.fills.all())
        assert sum(fill.fee for fill in fills) == position.fees
        assert sum(fill.realised for fill in fills) == position.realised
        for fill in fills:
            minute = fill.symbol, fill.at.replace(second=0)
            assert low[minute] <= float(fill.price) <= high[minute]


def test_its_pages_and_lists_open(history: Account) -> None:
    person = User.objects.get(email=make.OWNER)
    client = Client()
    client.force_login(person)
    cycle = Cycle.objects.latest("pk")
    pages = ("/", f"/accounts/{history.pk}/", f"/accounts/{history.pk}/diary/", f"/accounts/{history.pk}/books/",
             f"/accounts/{history.pk}/market/", f"/cycles/{cycle.pk}/", f"/bots/{cycle.bot_id}/")  # fmt: skip
    assert {page: client.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)
    listed = client.get("/api/v1/orders/").json()
    assert listed["results"][0]["client_order_id"].startswith("vxhist")


def test_made_again_it_changes_nothing(history: Account) -> None:
    before = digest()
    made()
    assert digest() == before
    assert Account.objects.count() == 1


@pytest.mark.parametrize("dies_at", ["orders", "equity"])
def test_killed_in_an_account_it_leaves_nothing_of_it_and_goes_on(db: None, dies_at: str) -> None:
    class Died(Exception):
        pass

    def told(table: str, count: int) -> None:
        if table == dies_at:
            raise Died

    with pytest.raises(Died):
        make.history_make(plan=PLAN, told=told)
    assert rows_of(Cycle._meta.db_table) == rows_of(Order._meta.db_table) == 0
    made()
    assert money_check(Account.objects.get(), now=END, everything=True, telling=False) == []
    assert rows_of(Order._meta.db_table) == PLAN.rows["orders"]


@pytest.mark.django_db(transaction=True)
def test_a_piece_whose_connection_breaks_is_made_once_more() -> None:
    broken = []

    def told(table: str, count: int) -> None:
        if table == "orders" and not broken:
            broken.append(table)
            raise OperationalError("the server closed the connection unexpectedly")

    make.history_make(plan=PLAN, told=told)
    assert broken
    assert rows_of(Order._meta.db_table) == PLAN.rows["orders"]


@pytest.mark.ci
def test_a_process_that_is_killed_leaves_whole_accounts_and_the_next_one_goes_on(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("COV")}
    environment |= {"VIBEX_DATA_DIR": str(tmp_path), "VIBEX_LOG_DIR": str(tmp_path / "logs"), "LOG_LEVEL": "ERROR"}
    plan, manage = Plan.of(0.002, 7), [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v", "0"], cwd=ROOT, env=environment, check=True)
    make_it = [*manage, "make_history", "--scale", "0.002"]
    with closing(sqlite3.connect(f"file:{tmp_path / 'vibex.sqlite3'}?mode=ro", uri=True, timeout=10)) as database:

        def cycles() -> int:
            return int(database.execute("SELECT count(*) FROM decisions_cycle").fetchone()[0])

        process = subprocess.Popen(make_it, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        while not cycles():
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.wait()
        assert cycles() % plan.cycles == 0
        subprocess.run(make_it, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        assert cycles() == plan.rows["cycles"]
        assert database.execute("SELECT count(*) FROM trading_order").fetchone()[0] == plan.rows["orders"]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def test_the_same_seed_makes_the_same_prices_and_another_one_others() -> None:
    first, again, other = (candles_of("BTCUSDT", Plan.of(0.001, seed)).close for seed in (7, 7, 8))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("symbol", PRICES)
def test_made_candles_are_possible_and_their_prices_stay_prices(symbol: str) -> None:
    made_candles = candles_of(symbol, Plan.of(0.1, 7))
    assert (made_candles.high >= made_candles.open).all()
    assert (made_candles.high >= made_candles.close).all()
    assert (made_candles.low <= made_candles.open).all()
    assert (made_candles.low <= made_candles.close).all()
    assert made_candles.low.min() > PRICES[symbol] / 3
    assert made_candles.high.max() < PRICES[symbol] * 3


def test_scale_one_is_what_it_says() -> None:
    rows = Plan.of(1, 7).rows
    assert rows["candles"] == 10_000_000
    assert rows["orders"] == rows["fills"] == 5_000_000
    assert rows["interactions"] == 1_000_000


def test_it_never_goes_beside_a_live_account(db: None, django_user_model: Any) -> None:
    owner = django_user_model.objects.create_user("anna@example.com", None)
    Account.objects.create(owner=owner, name="real", venue="aster", mode="live", network="testnet", starting_balance=1)
    with pytest.raises(CommandError, match="live account"):
        made(beside=True)
    assert Account.objects.count() == 1


def test_it_goes_beside_something_else_only_when_it_is_told_to(db: None, django_user_model: Any) -> None:
    owner = django_user_model.objects.create_user("anna@example.com", None)
    Account.objects.create(owner=owner, name="mine", venue="sim", starting_balance=1)
    with pytest.raises(CommandError, match="people, accounts"):
        made()
    assert not Candle.objects.filter(venue=VENUE).exists()
    made(beside=True)
    assert Account.objects.count() == 2


def test_another_scale_or_seed_needs_another_database(history: Account) -> None:
    with pytest.raises(CommandError, match="make_history --scale"):
        made(seed=8)


def test_keys_that_are_reserved_are_given_to_nobody_else(history: Account) -> None:
    first = keys_reserve(Order, 10)
    assert first > Order.objects.latest("pk").pk
    if connection.vendor == "postgresql":
        assert keys_reserve(Order, 1) == first + 10


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "1000", "much"])
def test_a_scale_that_is_none_is_refused_before_anything_is_looked_at(scale: str) -> None:
    with pytest.raises(CommandError, match="is no scale"):
        call_command("make_history", "--scale", scale)


def test_a_dry_run_says_how_much_it_would_be_and_makes_nothing(db: None) -> None:
    assert "10,000,000" in str(
        call_command("make_history", scale=1.0, dry_run=True, stdout=(out := StringIO())) or out.getvalue()
    )
    assert not Account.objects.exists()
