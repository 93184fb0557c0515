"""Several writers on one paper account: compare-and-swap makes them take turns, and nobody's change is lost."""

import threading
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import DatabaseError, connection

from trading.exchange import paper_store
from trading.exchange.base import Ambiguous, Unavailable
from trading.exchange.paper import PaperExchange, open_paper_account
from trading.models import PaperAccount, PaperIncome, PaperOrder
from trading.tests.builders import make_account
from trading.tests.matching_kit import START, order
from trading.tests.paper_kit import TickMarket
from vibex.lib.clock import SimulatedClock
from vibex.lib.errors import NeedsOperator

pytestmark = pytest.mark.django_db(transaction=True)
SYMBOL = "BTCUSDT"


@pytest.fixture
def market():
    made = TickMarket()
    for symbol in (SYMBOL, "SOLUSDT"):
        made.tick(100, minutes=0, symbol=symbol)
    return made


@pytest.fixture
def account():
    made = make_account()
    open_paper_account(made, at=START)
    return made


def venue(account, market):
    return PaperExchange(account.pk, market, SimulatedClock(START))


def test_a_writer_who_was_overtaken_tries_again_on_the_new_state(account, market):
    """Between our read and our commit somebody else buys: both purchases are there afterwards."""
    genuine, overtaken = market.quote, []

    def quote(symbol, *, at):
        if not overtaken:
            overtaken.append(True)
            venue(account, market).place(order("BUY", quantity="2", id="theirs"))
        return genuine(symbol, at=at)

    market.quote = quote
    venue(account, market).place(order("BUY", quantity="3", id="ours"))
    assert venue(account, market).account().position(SYMBOL).quantity == D(5)
    assert PaperAccount.objects.get().version == 2


def test_who_is_always_overtaken_gives_up_and_has_changed_nothing(account, market, monkeypatch):
    monkeypatch.setattr(paper_store, "commit", lambda *_, **__: False)
    monkeypatch.setattr("trading.exchange.paper.PAUSE_SECONDS", 0)
    with pytest.raises(Unavailable):
        venue(account, market).place(order("BUY", quantity="1"))
    assert not PaperOrder.objects.exists()


def test_a_commit_that_breaks_off_leaves_nothing_and_is_ambiguous(account, market, monkeypatch):
    def broken(*_):
        raise DatabaseError("the connection is gone")

    monkeypatch.setattr(paper_store, "write_changes", broken)
    with pytest.raises(Ambiguous):
        venue(account, market).place(order("BUY", quantity="1"))
    monkeypatch.undo()
    assert not PaperOrder.objects.exists()
    assert PaperAccount.objects.get().version == 0


def test_a_question_that_breaks_off_is_unavailable(account, market, monkeypatch):
    def broken(*_):
        raise DatabaseError("the connection is gone")

    monkeypatch.setattr(paper_store, "load", broken)
    with pytest.raises(Unavailable):
        venue(account, market).account()


def test_an_amount_that_the_database_cannot_keep_is_not_written(market):
    rich, clock = make_account("rich", starting_balance=D(9_999_999)), SimulatedClock(START)
    open_paper_account(rich, at=START)
    exchange = PaperExchange(rich.pk, market, clock)
    exchange.set_leverage(symbol=SYMBOL, leverage=10)
    exchange.place(order("BUY", quantity="98.999", id="entry"))
    market.tick("150000.7", minutes=1)
    clock.move_to(START + timedelta(minutes=2))
    closing = order("SELL", quantity="98.999", reduce_only=True, id="close")
    if connection.vendor != "sqlite":
        assert exchange.place(closing).filled == D("98.999")
        return
    with pytest.raises(NeedsOperator, match="PostgreSQL"):
        exchange.place(closing)
    assert exchange.account().position(SYMBOL).quantity == D("98.999")


@pytest.mark.ci
@pytest.mark.postgres
def test_four_threads_on_postgres_lose_nothing(account, market):
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            exchange = venue(account, market)
            for number in range(8):
                exchange.place(order("BUY", quantity="0.1", id=f"{name}-{number}"))
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert venue(account, market).account().position(SYMBOL).quantity == D("3.2")
    assert sum(PaperIncome.objects.values_list("amount", flat=True)) == PaperAccount.objects.get().wallet
