"""Rows of several tables in one query are the rows that each query alone would give."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import DecimalField, OuterRef, Subquery

from accounts.models import Account, Bot, Incident
from trading.models import Lock, Order, Position
from trading.tests.builders import make_account, make_bot
from vibex.lib.together import read_together

pytestmark = [pytest.mark.django_db, pytest.mark.ci]
AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def account() -> Account:
    account = make_account("together")
    bot = make_bot("first", account=account, symbols=["BTCUSDT"])
    for number in range(5):
        Incident.objects.create(
            account=account,
            kind="gap",
            text=f"it's {number} %",
            data={"subject": "ä"},
            opened=AT + timedelta(hours=number % 3),
        )
        Position.objects.create(
            account=account, bot=bot, symbol=f"S{number}", side="long", quantity=Decimal("0.000123456"), cost=12, entry_price=Decimal("97204.1"),
            opened=AT, stop=None if number else Decimal("0.00000001"), realised=Decimal("-1234567.87654321"),
        )  # fmt: skip
    return account


def plain(rows):
    return [{name: value for name, value in vars(row).items() if name != "_state"} for row in rows]


def asked(account):
    stop = Position.objects.filter(account=OuterRef("account"), symbol="S0").values("stop")[:1]
    return {
        "incidents": Incident.objects.filter(account=account).order_by("-opened", "-id")[:3],
        "bots": Bot.objects.filter(account=account).order_by("pk"),
        "positions": Position.objects.filter(account=account)
        .annotate(best=Subquery(stop, output_field=DecimalField()))
        .order_by("symbol"),
        "locks": Lock.objects.filter(account=account),
        "orders": Order.objects.filter(account=account).exclude(state="done").order_by("symbol", "-created")[:2],
    }


def test_they_are_the_same_rows_in_the_same_order(account, django_assert_num_queries):
    assert connection.features.supports_json_field  # Django asks the database once
    with django_assert_num_queries(1):
        found = read_together(**asked(account))
    for name, rows in asked(account).items():
        assert plain(found[name]) == plain(rows), name
    assert len(found["incidents"]) == 3
    assert (found["locks"], found["orders"]) == ([], [])
    assert found["positions"][0].best == Decimal("0.00000001")


def test_what_is_deferred_is_read_when_it_is_wanted(account, django_assert_num_queries):
    (row, *_) = read_together(incidents=Incident.objects.filter(account=account).defer("data"))["incidents"]
    assert "data" not in vars(row)
    with django_assert_num_queries(1):
        assert row.data == {"subject": "ä"}


def test_nothing_asked_is_nothing_read(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert read_together() == {}
