"""Stored figures are the books: however they came to be, they are the same, and they come to what the books come to."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D

import pytest
from django.db.models import F, Sum
from hypothesis import given, settings
from hypothesis import strategies as st

from decisions.models import Decision, Interaction
from decisions.selectors import cost_between
from trading.models import EquityHour, EquityPoint, Fill, IncomeEntry, PerformanceDay, PerformanceState, Position
from trading.services import performance
from trading.services.performance import (
    performance_agrees,
    performance_rebuild,
    performance_refresh,
    performance_refresh_all,
)
from trading.services.performance_books import books_of
from trading.tests.builders import make_account
from trading.tests.figures_kit import History, hours_of, rows_of
from vibex.lib.money import booked

pytestmark = pytest.mark.django_db


def lived(seed: int, *, steps: int = 6, events: int = 10) -> History:
    """Return a history whose figures were brought up to date as it went on, at odd times."""
    history = History.begin(seed)
    for _ in range(steps):
        history.live(history.random.choice((0.5, 3, 11, 23, 30)), events=events)
        performance_refresh(history.account, now=history.now)
    return history


def same_when_made_anew(history: History) -> None:
    grown, hours = rows_of(history.account), hours_of(history.account)
    made = performance_rebuild(history.account, now=history.now)
    assert list(map(str, made.differences)) == []
    PerformanceDay.objects.filter(account=history.account).delete()
    EquityHour.objects.filter(account=history.account).delete()
    PerformanceState.objects.filter(account=history.account).delete()
    performance_rebuild(history.account, now=history.now)
    assert rows_of(history.account) == grown
    assert hours_of(history.account) == hours


def ties_out(history: History) -> None:
    """The days of the account come to the books, and those of bots and models to the same, less what no bot did."""
    account = history.account
    whole = total(PerformanceDay.objects.filter(account=account, bot=None))
    fills = Fill.objects.filter(account=account)
    positions = Position.objects.filter(account=account)
    closed = [row.realised - row.fees + row.funding for row in positions if row.closed]
    calls = [cost_between(bot) for bot in history.bots]
    funding = IncomeEntry.objects.filter(account=account, kind="FUNDING_FEE")
    assert whole["fills"] == fills.count()
    assert whole["turnover"] == sum((booked(row.quantity * row.price) for row in fills), D(0))
    assert whole["realised"] == sum((row.realised for row in fills), D(0)) == sum(row.realised for row in positions)
    assert whole["fees"] == sum(row.fees for row in positions)
    assert whole["funding"] == sum((row.amount for row in funding), D(0)) == sum(row.funding for row in positions)
    assert (whole["opened"], whole["closed"]) == (len(positions), len(closed))
    assert whole["won"] == sum(net > 0 for net in closed)
    assert (whole["gain"], whole["loss"]) == (sum(n for n in closed if n > 0), sum(n for n in closed if n < 0))
    assert whole["cost"] == sum(each.total for each in calls)
    assert (whole["calls"], whole["tokens"]) == (sum(e.calls for e in calls), sum(e.tokens_total for e in calls))
    assert whole["decisions"] == Decision.objects.filter(bot__account=account).count()
    of_bots = total(PerformanceDay.objects.filter(account=account, bot__isnull=False))
    by_hand = positions.filter(bot=None)
    assert whole["opened"] - of_bots["opened"] == by_hand.count()
    assert whole["realised"] - of_bots["realised"] == sum(row.realised for row in by_hand)
    first, last = account.equity.earliest("at"), account.equity.latest("at")
    assert whole["transfers"] == last.transfers - first.transfers


def total(rows) -> dict[str, D]:
    names = (*performance.SUMS, "transfers")
    return {
        name: sum((getattr(row, name) for row in rows), type(getattr(PerformanceDay(), name) or 0)(0)) for name in names
    }


def test_figures_that_grew_day_by_day_are_those_that_are_made_anew_and_come_to_what_the_books_come_to():
    history = lived(7, steps=4, events=6)
    same_when_made_anew(history)
    ties_out(history)


@pytest.mark.ci
@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_whatever_happened_grown_and_rebuilt_figures_are_the_same_to_the_last_digit(seed):
    history = lived(seed)
    same_when_made_anew(history)
    ties_out(history)


def test_a_day_begins_with_the_equity_that_was_known_last_and_holds_its_range():
    history = History.begin(1)
    account = history.account
    account.time_zone = "UTC"
    account.save()
    for day, hour, equity in ((1, 10, 100), (1, 12, 90), (1, 14, 120), (2, 9, 110), (2, 23, 105), (4, 1, 99)):
        at = history.now.replace(month=4, day=day, hour=hour)
        EquityPoint.objects.create(account=account, at=at, wallet=equity, unrealised=0, equity=equity, transfers=100)
    performance_refresh(account, now=at)
    days = PerformanceDay.objects.filter(account=account).order_by("day")
    columns = ("day", "equity_first", "equity_last", "equity_lowest", "equity_highest")
    assert list(days.values_list(*columns)) == [
        (date(2026, 4, 1), 100, 120, 90, 120),
        (date(2026, 4, 2), 120, 105, 105, 110),
        (date(2026, 4, 4), 105, 99, 99, 99),
    ]


def test_a_refresh_that_finds_nothing_new_writes_nothing():
    history = lived(3, steps=2, events=6)
    before = list(PerformanceDay.objects.order_by("pk").values_list("pk", flat=True))
    made = performance_refresh(history.account, now=history.now)
    assert (made.differences, made.hours) == ([], 0)
    assert list(PerformanceDay.objects.order_by("pk").values_list("pk", flat=True)) == before


@pytest.mark.ci
def test_what_was_booked_late_on_a_day_long_past_is_found_within_the_hour():
    history = lived(5, steps=5)
    account = history.account
    old = Position.objects.filter(account=account).earliest("opened")
    Fill.objects.create(
        account=account, order=old.orders.first(), position=old, symbol=old.symbol, exchange_trade_id="late",
        side="BUY", quantity=1, price=100, fee=1, realised=0, at=old.opened + timedelta(seconds=1),
    )  # fmt: skip
    assert not performance_agrees(account)
    made = performance_refresh(account, now=history.now + timedelta(hours=1))
    assert [one.figures["fills"] for one in made.differences if one.bot is None]
    assert performance_agrees(account)
    assert total(PerformanceDay.objects.filter(account=account, bot=None))["fills"] == Fill.objects.count()


def test_of_two_workers_one_writes_and_the_other_finds_out(monkeypatch):
    history = lived(11, steps=2, events=6)
    account = history.account
    history.live(5)
    read = performance.days_read

    def read_while_another_writes(books, days):
        found = read(books, days)
        monkeypatch.setattr(performance, "days_read", read)
        assert not performance_refresh(account, now=history.now).lost
        return found

    monkeypatch.setattr(performance, "days_read", read_while_another_writes)
    assert performance_refresh(account, now=history.now).lost
    same_when_made_anew(history)


@pytest.mark.ci
def test_a_rebuild_says_what_was_otherwise_and_mends_it():
    history = lived(2, steps=2, events=6)
    spoilt = PerformanceDay.objects.filter(account=history.account, bot=None).latest("day")
    PerformanceDay.objects.filter(pk=spoilt.pk).update(fees=F("fees") + 5)
    extra = PerformanceDay.objects.create(
        account=history.account, bot=history.bots[0], model="x", day=spoilt.day, fills=3
    )
    made = performance_rebuild(history.account, now=history.now)
    assert [(one.day, one.bot, set(one.figures)) for one in made.differences] == [
        (spoilt.day, None, {"fees"}),
        (extra.day, history.bots[0].pk, {"fills"}),
    ]
    assert performance_rebuild(history.account, now=history.now).differences == []


def test_only_accounts_with_something_new_are_summed():
    history = lived(13, steps=1, events=6)
    quiet = make_account("quiet")
    assert performance_refresh_all(now=history.now) >= 1
    state = PerformanceState.objects.get(account=quiet)
    PerformanceState.objects.update(at=history.now)
    assert performance_refresh_all(now=history.now) == 0
    state.refresh_from_db()
    Interaction.objects.create(
        bot=history.bots[0], model_requested="m", outcome="answered", cost=1, at=history.now + timedelta(seconds=1)
    )
    assert performance_refresh_all(now=history.now + timedelta(seconds=2)) == 1


@pytest.mark.ci
def test_what_a_model_cost_is_what_its_bots_page_says():
    history = lived(17, steps=2, events=8)
    for bot in history.bots:
        stored = PerformanceDay.objects.filter(bot=bot).aggregate(cost=Sum("cost"))["cost"] or D(0)
        assert booked(stored) == booked(cost_between(bot).total)


@pytest.mark.ci
def test_a_bot_that_follows_other_rules_keeps_what_it_earned_under_its_former_ones():
    history = lived(19, steps=2, events=25)
    before = set(PerformanceDay.objects.filter(bot=history.bots[1]).values_list("model", flat=True))
    history.change_model("rules/reversal")
    for _ in range(4):
        history.live(20, events=20)
        performance_refresh(history.account, now=history.now)
    assert before == {"rules/trend"}
    models = set(PerformanceDay.objects.filter(bot=history.bots[1]).values_list("model", flat=True))
    assert models == {"rules/trend", "rules/reversal"}
    same_when_made_anew(history)


def test_an_account_without_history_has_no_days_and_is_up_to_date():
    account = make_account("new")
    performance_refresh(account)
    assert rows_of(account) == []
    assert PerformanceState.objects.filter(account=account).exists()
    assert books_of(account).zones.first == "UTC"
