"""What differs between two sides, said with both figures; money that ties out by day, symbol and position."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Incident
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.orders import OrderState
from trading.domain.reconcile import BookedOrder, Books, Kind, OpenPosition, Statement, compare
from trading.domain.tie_out import differences
from trading.domain.venue import (
    AccountState,
    Income,
    IncomeKind,
    NewOrder,
    OrderReport,
    OrderSide,
    OrderType,
    Trade,
    VenuePosition,
    VenueStatus,
)
from trading.models import Position
from trading.services.bookkeeping import income_book
from trading.services.fills import trades_book
from trading.services.tie_out import BACK, money_check
from trading.tests.builders import make_account

NOON = datetime(2025, 10, 10, 12, tzinfo=UTC)
STOP = NewOrder("vxstop", "BTCUSDT", OrderSide.SELL, OrderType.STOP_MARKET, trigger=D(95), close_position=True)
WORKING = OrderReport(
    "vxstop", "7", "BTCUSDT", OrderSide.SELL, OrderType.STOP_MARKET, VenueStatus.NEW, D(0), trigger=D(95),
    close_position=True,
)  # fmt: skip
HELD = VenuePosition("BTCUSDT", Side.LONG, D(1), D(100), D(101), 2, D(1), D(50))
OURS = OpenPosition("BTCUSDT", Side.LONG, D(1), D(95), looked_after=True)
AGREED = Books([BookedOrder(STOP, Role.STOP, OrderState.LIVE, ours=True)], [OURS], D(1000))
TOLD = Statement(AccountState(NOON, D(1000), D(1), D(50), D(900), (HELD,), (WORKING,)))


def kinds(books: Books, told: Statement) -> list[Kind]:
    return [one.kind for one in compare(books, told)]


def with_account(**changed: object) -> Statement:
    return replace(TOLD, account=replace(TOLD.account, **changed))


def test_two_sides_that_agree_have_no_difference():
    assert compare(AGREED, TOLD) == []


@pytest.mark.parametrize(
    ("books", "told", "found"),
    [
        (AGREED, with_account(orders=()), [Kind.ORDER, Kind.UNPROTECTED]),
        (replace(AGREED, orders=()), TOLD, [Kind.FOREIGN_ORDER, Kind.UNPROTECTED]),
        (AGREED, with_account(positions=(replace(HELD, quantity=D(2)),)), [Kind.POSITION]),
        (AGREED, with_account(positions=()), [Kind.POSITION, Kind.SURPLUS]),
        (replace(AGREED, positions=()), TOLD, [Kind.FOREIGN_POSITION]),
        (AGREED, with_account(wallet=D("999.99")), [Kind.WALLET]),
        (replace(AGREED, positions=[replace(OURS, looked_after=False)]), TOLD, [Kind.FOREIGN_POSITION]),
        (replace(AGREED, positions=[replace(OURS, stop=D(96))]), TOLD, []),
    ],
)
def test_each_difference_has_a_name_and_both_figures(books, told, found):
    assert kinds(books, told) == found
    for one in compare(books, told):
        assert one.ours != one.theirs
        assert one.subject
        assert one.remedy
        assert one.ours in str(one)
        assert one.theirs in str(one)


@pytest.mark.parametrize(
    ("state", "report", "theirs", "remedy"),
    [
        (OrderState.PLANNED, None, "nothing", "denied"),
        (OrderState.UNKNOWN, None, "no such order", "proved absent"),
        (OrderState.LIVE, None, "no such order", "asked for again"),
        (OrderState.LIVE, replace(WORKING, status=VenueStatus.FILLED, filled=D(1)), "FILLED (1 filled)", "taken over"),
    ],
)
def test_an_order_that_is_not_shown_says_what_became_of_it(state, report, theirs, remedy):
    books = Books([BookedOrder(STOP, Role.STOP, state, ours=True)])
    told = Statement(AccountState(NOON, D(0), D(0), D(0), D(0)), looked_up={"vxstop": report})
    (one,) = compare(books, told)
    assert (one.kind, one.theirs) == (Kind.ORDER, theirs)
    assert remedy in one.remedy


def test_fills_and_payments_that_are_not_booked_are_named_and_explain_the_wallet():
    trade = Trade("t1", "vx", "7", "BTCUSDT", OrderSide.BUY, D(1), D(100), D("0.04"), D(0), False, NOON)
    fee = Income("c1", IncomeKind.COMMISSION, "BTCUSDT", D("-0.04"), NOON, "t1")
    told = replace(with_account(wallet=D("999.96")), trades=[trade], income=[fee])
    assert kinds(AGREED, told) == [Kind.FILL, Kind.INCOME]
    known = replace(
        AGREED,
        trades=frozenset({("BTCUSDT", "t1")}),
        income=frozenset({("COMMISSION", "c1", "BTCUSDT", "USDT")}),
        ledger=D("999.96"),
    )
    assert compare(known, told) == []


SUMS = st.dictionaries(
    st.tuples(st.just(NOON.date()), st.sampled_from("AB"), st.sampled_from(["fees", "realised"]), st.just("USDT")),
    st.decimals("-100", "100", places=8),
)


@given(SUMS, SUMS)
def test_sums_differ_exactly_where_they_are_half_a_cent_apart(ours, theirs):
    found = {(one.day, one.symbol, one.what, one.asset) for one in differences(ours, theirs)}
    apart = {
        key for key in ours.keys() | theirs.keys() if abs(ours.get(key, D(0)) - theirs.get(key, D(0))) >= D("0.005")
    }
    assert found == apart


# In the database


def life(account, fee: str = "0.04"):
    buy = Trade("1", "vxa", "11", "BTCUSDT", OrderSide.BUY, D(1), D(100), D("0.04"), D(0), False, NOON)
    sell = replace(
        buy, trade_id="2", client_order_id="vxb", exchange_id="12", side=OrderSide.SELL, price=D(110),
        realised=D(10), at=NOON + timedelta(hours=13),
    )  # fmt: skip
    trades_book(account=account, trades=[buy, sell])
    lines = [
        Income("0", IncomeKind.TRANSFER, "", D(1000), NOON - timedelta(days=1)),
        Income("1", IncomeKind.COMMISSION, "BTCUSDT", D("-0.04"), NOON, "1"),
        Income("2", IncomeKind.COMMISSION, "BTCUSDT", -D(fee), NOON + timedelta(hours=13), "2"),
        Income("3", IncomeKind.REALIZED_PNL, "BTCUSDT", D(10), NOON + timedelta(hours=13), "2"),
        Income("4", IncomeKind.FUNDING_FEE, "BTCUSDT", D("-0.5"), NOON + timedelta(hours=4)),
    ]
    income_book(account=account, income=lines)


LATER = NOON + timedelta(days=1)


@pytest.mark.django_db
def test_promise_8_money_ties_out_by_day_in_the_zone_of_the_account_and_by_position():
    account = make_account(time_zone="Asia/Tokyo")
    life(account)
    assert money_check(account, now=LATER) == []
    position = Position.objects.get()
    assert (position.realised, position.fees, position.funding) == (10, D("0.08"), D("-0.5"))


@pytest.mark.django_db
def test_a_payment_that_does_not_tie_out_is_an_incident_that_names_both_figures_until_it_does():
    account = make_account(time_zone="Asia/Tokyo")
    life(account, fee="0.05")
    (one,) = money_check(account, now=LATER)
    assert (one.what, one.booked, one.ledger) == ("fees", D("-0.04"), D("-0.05"))
    assert one.day.isoformat() == "2025-10-11", "an evening in Europe is the next day in Tokyo"
    incident = Incident.objects.get(kind="money-mismatch")
    assert "-0.04" in incident.text
    assert "-0.05" in incident.text
    assert money_check(account, now=LATER) != []
    assert Incident.objects.filter(kind="money-mismatch").count() == 1
    income_book(
        account=account,
        income=[Income("5", IncomeKind.COMMISSION, "BTCUSDT", D("0.01"), NOON + timedelta(hours=13), "2")],
    )
    assert money_check(account, now=LATER) == []
    assert Incident.objects.get(kind="money-mismatch").resolved is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "later", [timedelta(seconds=-1), timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)]
)
def test_what_was_compared_long_enough_falls_out_on_both_sides_at_once(later):
    account = make_account()
    account.created = NOON - timedelta(days=30)
    account.save(update_fields=["created"])
    life(account)
    assert money_check(account, now=NOON + BACK + later) == []


@pytest.mark.django_db
def test_the_first_trade_of_an_account_ties_out_where_its_payments_are_stamped_later():
    account = make_account()
    buy = Trade("1", "vxa", "11", "BTCUSDT", OrderSide.BUY, D(1), D(100), D("0.04"), D(0), False, NOON)
    trades_book(account=account, trades=[buy])
    soon = NOON + timedelta(milliseconds=20)
    opening = Income("opening", IncomeKind.OPENING, "", D(1000), NOON - timedelta(days=90))
    fee = Income("1", IncomeKind.COMMISSION, "BTCUSDT", D("-0.04"), soon, "1")
    income_book(account=account, income=[opening, fee])
    assert money_check(account, now=LATER) == []


@pytest.mark.django_db
def test_a_position_that_shows_another_result_than_its_fills_is_found():
    account = make_account()
    life(account)
    Position.objects.update(realised=D(11))
    (one,) = money_check(account, now=LATER)
    assert (one.booked, one.ledger) == (11, 10)


@pytest.mark.django_db
def test_the_command_refuses_what_it_cannot_know():
    make_account("one")
    for wrong in ([], ["nobody"], ["one", "--all"], ["--nonsense"]):
        with pytest.raises((CommandError, SystemExit)):
            call_command("reconcile", *wrong)


@pytest.mark.django_db(transaction=True)
def test_the_command_tells_in_words_and_as_json_and_ends_with_1_where_something_is_left(monkeypatch):
    from trading.management.commands import reconcile as command
    from trading.services import reconcile as service

    account = make_account("one")
    found = service.Reconciled(account, compare(AGREED, with_account(wallet=D(5))), left=["wallet differs"])
    monkeypatch.setattr(service, "reconcile_dry", lambda account: found)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile", "one", "--dry-run", stdout=out)
    assert ended.value.code == 1
    assert "wallet USDT: ours 1000, theirs 5" in out.getvalue()
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("reconcile", "one", "--dry-run", "--json", stdout=out)
    (told,) = json.loads(out.getvalue())
    assert (told["account"], told["dry_run"], told["left"]) == ("one", True, ["wallet differs"])
    assert command.Command.help
