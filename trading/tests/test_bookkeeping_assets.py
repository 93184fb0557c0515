"""Amounts in another asset than the wallet's are in no sum: seven coins are not seven dollars."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from accounts.models import Incident
from trading.domain.venue import Income, IncomeKind, OrderSide, Trade
from trading.models import Fill, IncomeEntry, Position
from trading.services.bookkeeping import income_book, ledger_sums
from trading.services.fills import trades_book
from trading.tests.builders import make_account

NOON = datetime(2025, 10, 10, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def test_a_transfer_of_another_asset_is_no_money_of_the_wallet():
    account = make_account()
    line = Income("1", IncomeKind.TRANSFER, "", Decimal(1000), NOON)
    income_book(
        account=account, income=[line, replace(line, transaction_id="2", amount=Decimal(70_000), asset="ASTER")]
    )
    assert ledger_sums(account=account).total == 1000
    assert set(IncomeEntry.objects.values_list("asset", "amount")) == {("USDT", 1000), ("ASTER", 70_000)}


def test_the_sum_of_a_ledger_is_exact_on_every_database():
    account = make_account()
    amounts = [Decimal(10_000), *(Decimal("-0.00000001") * (7**number % 99_999_989) for number in range(400))]
    lines = [Income(str(number), IncomeKind.COMMISSION, "", one, NOON) for number, one in enumerate(amounts)]
    for count in range(1, len(lines), 20):
        income_book(account=account, income=lines[:count])
        assert ledger_sums(account=account).total == sum(amounts[:count], Decimal(0))


def test_a_fee_in_another_asset_is_in_no_result_and_a_person_is_told_once():
    account = make_account()
    paid = Trade(
        "1", "vx1", "1", "BTCUSDT", OrderSide.BUY, Decimal(1), Decimal(100), Decimal("0.04"), Decimal(0), False, NOON
    )
    foreign = [replace(paid, trade_id=str(number), fee=Decimal(3), fee_asset="ASTER") for number in (2, 3)]
    assert trades_book(account=account, trades=[paid, *foreign]) == 3
    assert Position.objects.get().fees == Decimal("0.04")
    kept = sorted(Fill.objects.values_list("fee_asset", "fee"))
    assert kept == [("ASTER", 3), ("ASTER", 3), ("USDT", Decimal("0.04"))]
    assert "ASTER" in Incident.objects.get(kind="foreign-fee").text
