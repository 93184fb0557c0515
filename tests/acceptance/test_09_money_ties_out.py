"""Acceptance test 9: money ties out.

A day with an exit by stop, by target, by hand and in parts, a close at the entry price, a liquidation, funding paid and
received, and a deposit. Realised profit, fees and funding are those of the exchange's income list, to its last digit; the
deposit is no profit; the pages and the API show the same figures. A commission in another asset is in no sum, and told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.test import Client

from accounts.models import Incident, RiskLimits
from decisions.domain.proposal import Action, Proposal
from tests.acceptance.kit import looked_at
from trading.domain.venue import Income, IncomeKind, OrderSide, Trade
from trading.models import EquityPoint, IncomeEntry, LossWatch, Position
from trading.selectors.standing import rules_of, standing_of
from trading.services.bookkeeping import income_book, ledger_sums
from trading.services.fills import trades_book
from trading.services.reconcile import reconcile
from trading.services.tie_out import money_check
from trading.templatetags.figures import money
from trading.tests.builders import make_account
from trading.tests.exchange_kit import START
from trading.tests.live_kit import BUY, CLOSE, SYMBOL, LiveHouse, books_tie_out, live_house

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
SELL = Proposal(SYMBOL, Action.SELL, D("0.02"), 2, D(102_000), D(96_000), justification="it falls")
DEPOSIT = 500


@pytest.fixture
def house(monkeypatch) -> Iterator[LiveHouse]:
    with live_house(monkeypatch) as made:
        RiskLimits.objects.update(
            cooldown_minutes=0, min_hold_minutes=0, losing_streak=0, opens_per_hour=100, opens_per_day=100,
            daily_loss=D("0.5"), max_drawdown=D("0.9"),
        )  # fmt: skip
        yield looked_at(made)


def test_9_money_ties_out(house, client):
    a_day(house)
    exits = list(Position.objects.order_by("pk").values_list("exit_reason", flat=True))
    assert exits == ["stop", "target", "external", "close", "close", "close", "close", "liquidation"]

    told = defaultdict[IncomeKind, D](D)
    for line in house.truth.income:
        told[line.kind] += line.amount
    booked = Position.objects.filter(account=house.account)
    realised, fees, funding = (sum((getattr(one, name) for one in booked), D(0)) for name in FIGURES)
    assert realised == told[IncomeKind.REALIZED_PNL]
    assert -fees == told[IncomeKind.COMMISSION]
    assert funding == told[IncomeKind.FUNDING_FEE]
    assert {line.amount > 0 for line in house.truth.income if line.kind is IncomeKind.FUNDING_FEE} == {True, False}
    books_tie_out(house)
    assert reconcile(house.account, trigger="test").agreed
    assert not Incident.objects.filter(resolved=None, kind__endswith="mismatch").exists()

    even = booked.order_by("pk")[4]
    assert (even.realised, even.exit_reason) == (0, "close"), "a close at the entry price is one, and costs its fees"
    assert even.fees > 0

    # The clearing fee of the liquidation is the only money that is no position's.
    other = sum((line.amount for line in house.truth.income if line.kind in CLEARING), D(0))
    standing = standing_of(house.account, now=house.clock.now(), rules=rules_of(house.market.venue))
    assert standing.wallet == house.state.wallet
    assert standing.total == realised - fees + funding + other, "the deposit is no profit"
    assert LossWatch.objects.get().unit < 1
    assert EquityPoint.objects.order_by("-at")[0].equity == house.state.wallet

    the_same_everywhere(house, client, list(booked.order_by("pk")))


FIGURES = ("realised", "fees", "funding")
CLEARING = (IncomeKind.LIQUIDATION_FEE, IncomeKind.INSURANCE_CLEAR)


def a_day(house: LiveHouse) -> None:
    enters(house)
    house.at(97_900)  # by its stop
    house.guard()
    enters(house)
    house.at(104_100)  # by its target
    house.guard()
    enters(house)
    by_hand(house, "0.02")
    house.guard()
    enters(house)
    by_hand(house, "0.012")  # in parts: one by hand, the rest by the bot
    house.guard()
    house.cycle(CLOSE)
    enters(house)
    house.cycle(CLOSE)  # at the price at which it was entered
    house.served.control.deposit(house.user, DEPOSIT)
    for side in (BUY, SELL):  # one pays, the other receives
        enters(house, side)
        to_the_next_funding(house)
        house.guard()
        house.at(100_000)
        house.cycle(CLOSE)
    enters(house, replace(BUY, leverage=5))
    house.served.control.liquidate(house.user, SYMBOL)
    house.guard(2)
    assert house.held() == 0


def enters(house: LiveHouse, wish: Proposal = BUY) -> None:
    house.at(100_000)
    run = house.cycle(wish)
    assert abs(house.held()) == D("0.02"), run.text


def by_hand(house: LiveHouse, quantity: str) -> None:
    form = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": quantity, "reduceOnly": "true"}
    house.served.control.order(house.user, **form)


def to_the_next_funding(house: LiveHouse) -> None:
    """Let the time go on to one minute after the next settlement: at 0, 8 or 16 o'clock."""
    now = house.clock.at
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    house.clock.move_to(midnight + timedelta(hours=(now.hour // 8 + 1) * 8, minutes=1))
    house.at(100_000)


def the_same_everywhere(house: LiveHouse, client: Client, booked: list[Position]) -> None:
    """The API tells the figures of the books, and so do the pages. The stream carries none: it says where to look again."""
    client.force_login(house.account.owner)
    rows = {row["id"]: row for row in client.get("/api/v1/positions/").json()["results"]}
    for position in booked:
        for name in FIGURES:
            assert D(rows[position.pk][name]) == getattr(position, name), (position.exit_reason, name)
    account = house.account.pk
    pages = "".join(client.get(f"/accounts/{account}/{page}").content.decode() for page in ("", "books/"))
    assert money(house.state.wallet) in pages
    for position in booked:
        result = money(abs(position.realised - position.fees + position.funding))
        assert result in pages, (position.exit_reason, result)


def test_9b_a_commission_in_another_asset_is_in_no_sum_ties_out_and_is_told():
    account = make_account()
    at = START
    trade = Trade("1", "vx1", "1", SYMBOL, OrderSide.BUY, D(1), D(100), D("0.04"), D(0), False, at)
    foreign = replace(trade, trade_id="2", fee=D(3), fee_asset="ASTER")
    line = Income("1", IncomeKind.COMMISSION, SYMBOL, D("-0.04"), at, trade_id="1")
    lines = [line, replace(line, transaction_id="2", amount=D(-3), asset="ASTER", trade_id="2")]
    trades_book(account=account, trades=[trade, foreign])
    income_book(account=account, income=lines)
    assert Position.objects.get().fees == D("0.04")
    assert ledger_sums(account=account).total == D("-0.04")
    assert set(IncomeEntry.objects.values_list("asset", "amount")) == {("USDT", D("-0.04")), ("ASTER", D(-3))}
    assert "ASTER" in Incident.objects.get(kind="foreign-fee").text
    assert money_check(account, now=at + timedelta(minutes=10), everything=True) == []
