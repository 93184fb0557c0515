"""The paper venue and time: every price is used once, in order, and none from the future or from before an order."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from trading.domain.matching import EngineSettings
from trading.domain.venue import IncomeKind, VenueStatus
from trading.exchange.base import Refusal, Refused
from trading.exchange.paper import PaperExchange, open_paper_account
from trading.models import PaperAccount, PaperIncome, PaperOrder
from trading.tests.builders import make_account
from trading.tests.matching_kit import START, order, stop, target
from trading.tests.paper_kit import TickMarket
from vibex.lib.clock import SimulatedClock
from vibex.lib.errors import NeedsOperator

pytestmark = pytest.mark.django_db(transaction=True)
SYMBOL = "BTCUSDT"
PLAIN = EngineSettings(spread=D(0), stop_slippage_range=D(0), margin_buffer=D(0))


class Room:
    """An account with 10,000, a market at 100, and a clock at half a minute past the start."""

    def __init__(self) -> None:
        self.market, self.clock = TickMarket(), SimulatedClock(START + timedelta(seconds=30))
        self.account = make_account()
        open_paper_account(self.account, at=START)
        self.market.tick(100, minutes=0)
        self.exchange = self.another()

    def another(self) -> PaperExchange:
        """The same account, as another process would see it."""
        return PaperExchange(self.account.pk, self.market, self.clock, settings=PLAIN)

    def at(self, minutes: float) -> None:
        self.clock.move_to(START + timedelta(minutes=minutes))

    def buy(self, quantity: str = "10", leverage: int = 10) -> None:
        self.exchange.set_leverage(symbol=SYMBOL, leverage=leverage)
        self.exchange.place(order("BUY", quantity=quantity, id="entry"))

    def exits(self) -> list[tuple[str, D, float]]:
        """Id, price and minute of every execution but the entry."""
        trades = self.exchange.trades(symbol=SYMBOL, since=START)
        return [(t.client_order_id, t.price, (t.at - START).total_seconds() / 60) for t in trades[1:]]


@pytest.fixture
def room():
    return Room()


def test_a_spike_between_two_looks_fires_the_stop(room):
    room.buy()
    room.exchange.place(stop("SELL", "95", id="s"))
    room.market.tick(94, minutes=0.7)
    room.market.tick(99, minutes=0.9)
    room.at(0.95)
    assert room.exits() == [("s", D(95), 0.95)]


def test_an_extreme_from_before_the_order_does_not_fire_it(room):
    room.market.tick(90, minutes=0.1)
    room.market.tick(100, minutes=0.2)
    room.buy()
    room.exchange.place(stop("SELL", "95", id="s"))
    room.market.tick(99, minutes=0.8)
    room.at(5)
    assert room.exits() == []


def test_an_extreme_is_used_once(room):
    room.buy()
    room.market.tick(94, minutes=0.6)
    room.market.tick(100, minutes=0.7)
    room.at(0.8)
    room.exchange.place(stop("SELL", "95", id="s"))
    room.market.tick(100.5, minutes=0.9)
    room.at(3)
    assert room.exits() == []


def test_the_future_is_not_looked_at(room):
    room.buy()
    room.exchange.place(stop("SELL", "95", id="s"))
    room.market.tick(50, minutes=2)
    room.at(1.9)
    room.exchange.advance(START + timedelta(minutes=10))
    assert room.exits() == []
    room.at(2)
    assert [exit_id for exit_id, *_ in room.exits()] == ["s"]


def test_advance_may_stop_short_of_the_clock(room):
    room.buy()
    room.exchange.place(stop("SELL", "95", id="s"))
    room.market.tick(94, minutes=5)
    room.at(10)
    room.exchange.advance(START + timedelta(minutes=4))
    assert PaperOrder.objects.get(client_order_id="s").status == "NEW"
    room.exchange.advance()
    assert PaperOrder.objects.get(client_order_id="s").status == "FILLED"


def test_hours_of_downtime_are_caught_up_in_the_right_order(room):
    """Funding at 1 h is paid by the long, the stop at 2 h ends it, funding at 3 h finds nothing."""
    room.buy()
    room.exchange.place(stop("SELL", "95", id="s"))
    room.exchange.place(target("SELL", "105", id="t"))
    for minutes, price in ((59, 102), (120, 94), (130, 110), (240, 100)):
        room.market.tick(price, minutes=minutes)
    for hours in (1, 3):
        room.market.pay("0.001", minutes=60 * hours)
    room.at(241)
    assert room.exits() == [("s", D(94), 121)]
    paid = [i for i in room.exchange.income(since=START) if i.kind is IncomeKind.FUNDING_FEE]
    assert [(i.amount, i.at) for i in paid] == [(D("-1.02"), START + timedelta(hours=1))]
    report = room.exchange.order(symbol=SYMBOL, client_order_id="t")
    assert report.status is VenueStatus.EXPIRED, "it fired later, with nothing left to close"


def test_a_liquidation_happens_while_nobody_looks(room):
    room.buy(leverage=20)
    room.market.tick(90, minutes=30)
    room.market.tick(120, minutes=60)
    room.at(90)
    account = room.exchange.account()
    assert (account.positions, account.wallet) == ((), D(10_000) - D("0.4") - D(50))


def test_what_time_brought_about_stands_although_the_action_is_refused(room):
    room.buy()
    room.exchange.place(stop("SELL", "95", id="s"))
    room.market.tick(94, minutes=1)
    room.at(2)
    with pytest.raises(Refused) as caught:
        room.exchange.cancel(symbol=SYMBOL, client_order_id="s")
    assert caught.value.refusal is Refusal.UNKNOWN_ORDER
    room.market.ticks.clear()  # nothing of it is left to be found again
    assert room.another().order(symbol=SYMBOL, client_order_id="s").status is VenueStatus.FILLED


def test_looking_in_many_small_steps_or_in_one_large_one_gives_the_same_exit(room):
    other = Room.__new__(Room)
    other.market, other.clock, other.account = room.market, SimulatedClock(room.clock.at), make_account("other")
    open_paper_account(other.account, at=START)
    other.exchange = other.another()
    for each in (room, other):
        each.buy()
        each.exchange.place(stop("SELL", "97", id="s"))
    for minute in range(1, 180):
        room.market.tick(100 - minute / 40, minutes=minute)
    for minute in range(1, 180):
        room.at(minute + 0.5)
        room.exchange.advance()
    other.at(179.5)
    assert room.exits()[0][:2] == other.exits()[0][:2] == ("s", D(97))


def test_a_stale_quote_does_not_undo_newer_candles(room):
    """A quote from before the last closed candle is older news: it must not fire anything."""
    room.buy()
    room.market.tick(110, minutes=3)
    room.at(10)
    room.exchange.place(stop("SELL", "105", id="s"))
    genuine = room.market.quote
    room.market.quote = lambda symbol, at: genuine(symbol, at=START)
    room.market.tick(111, minutes=11)
    room.at(13)
    assert room.exits() == []


def test_candles_that_arrive_after_we_looked_are_not_missed(room):
    """The feed is down while the guard looks; when it is back, the spike of minute 1 still fires the stop."""
    room.buy()
    room.exchange.place(stop("SELL", "95", id="s"))
    room.at(5)
    room.exchange.advance()
    room.market.tick(94, minutes=1)
    room.market.tick(100, minutes=1.5)
    room.market.tick(100, minutes=5.1)
    room.at(5.5)
    assert room.exits() == [("s", D(94), 2.0)]


def test_funding_that_becomes_known_late_is_paid_once(room):
    room.buy()
    room.market.tick(100, minutes=1)
    room.at(1.1)
    room.exchange.advance()
    room.market.pay("0.001", minutes=1)
    for minutes in (1.2, 1.3, 30):
        room.at(minutes)
        room.exchange.advance()
    paid = [i.amount for i in room.exchange.income(since=START) if i.kind is IncomeKind.FUNDING_FEE]
    assert paid == [D(-1)]


def test_symbols_without_position_or_order_are_not_asked_for(room):
    room.buy()
    room.exchange.place(order("SELL", quantity="10", reduce_only=True))
    room.market.asked.clear()
    room.at(30)
    room.exchange.account()
    assert room.market.asked == set()


def test_an_idle_account_costs_four_queries(room):
    with CaptureQueriesContext(connection) as captured:
        room.exchange.account()
    assert len(captured) <= 4


def test_prices_that_change_nothing_are_not_committed_every_time(room):
    room.buy()
    version = PaperAccount.objects.get().version
    room.market.tick(101, minutes=1)
    room.at(2)
    assert room.exchange.account().unrealised == D(10)
    assert PaperAccount.objects.get().version == version
    room.market.tick(102, minutes=29)
    room.at(30)
    room.exchange.account()
    assert PaperAccount.objects.get().version == version + 1


def test_a_call_inside_a_transaction_is_refused(room):
    with pytest.raises(RuntimeError, match="transaction"), transaction.atomic():
        room.exchange.account()


def test_opening_twice_deposits_once(room):
    open_paper_account(room.account, at=START + timedelta(days=1))
    assert PaperIncome.objects.filter(paper__account=room.account).count() == 1
    assert room.exchange.account().wallet == D(10_000)


def test_an_account_that_was_never_opened_needs_an_operator(room):
    with pytest.raises(NeedsOperator):
        PaperExchange(make_account("none").pk, room.market, room.clock).account()


def test_without_a_price_an_order_is_refused_not_guessed(room):
    with pytest.raises(Refused):
        room.exchange.place(order("BUY", quantity="1", symbol="SOLUSDT"))


# -- the feed is behind: candle 0 was last written half a minute past the start -----------------------------------------


@pytest.fixture
def behind(room):
    """A resting order has made the venue look at candle 0; its rest is not known yet, and it is past minute 1."""
    room.exchange.set_leverage(symbol=SYMBOL, leverage=10)
    room.exchange.place(order("BUY", "LIMIT", quantity="1", price="50", id="rest"))
    room.at(1.1)
    return room


def test_a_late_candle_from_before_the_entry_does_not_fire_its_stop(behind):
    behind.exchange.place(order("BUY", quantity="10", id="entry"))
    behind.exchange.place(stop("SELL", "95", id="s"))
    behind.market.tick(94, minutes=0.95)
    behind.market.tick(99, minutes=1.3)
    behind.at(1.5)
    assert behind.exits() == []
    behind.market.tick("94.5", minutes=1.7)
    behind.market.tick(99, minutes=1.8)
    behind.at(2.5)
    assert behind.exits() == [("s", D(95), 2.0)], "the next price beyond it does, and no later than it should"


def test_a_late_candle_from_before_the_entry_does_not_liquidate_it(behind):
    behind.exchange.place(order("BUY", quantity="10", id="entry"))
    behind.market.tick(85, minutes=0.95)
    behind.market.tick(100, minutes=1.3)
    behind.at(1.5)
    assert behind.exits() == []
    behind.market.tick(85, minutes=1.7)
    behind.at(2.5)
    assert len(behind.exits()) == 1


def test_a_late_candle_does_not_fire_an_older_stop_at_a_position_that_came_after_it(room):
    """A closePosition stop stays when its position is gone; it protects the next one, but not against the past."""
    room.buy()
    room.exchange.place(stop("SELL", "95", id="s"))
    room.exchange.place(order("SELL", quantity="10", reduce_only=True, id="out"))
    room.at(1.1)
    room.exchange.place(order("BUY", quantity="10", id="again"))
    room.market.tick(94, minutes=0.95)
    room.market.tick(99, minutes=1.3)
    room.at(1.5)
    assert [exit_id for exit_id, *_ in room.exits()] == ["out", "again"]
    assert room.exchange.account().position(SYMBOL).quantity == D(10)


def test_a_late_candle_still_fills_an_order_that_was_there(behind):
    behind.exchange.place(order("BUY", "LIMIT", quantity="1", price="98", id="later"))
    behind.market.tick(49, minutes=0.95)
    behind.market.tick(99, minutes=1.3)
    behind.at(1.5)
    trades = behind.exchange.trades(symbol=SYMBOL, since=START)
    assert [(trade.client_order_id, trade.at) for trade in trades] == [("rest", START + timedelta(minutes=1))]


def test_a_quote_from_before_an_order_does_not_fill_it_late(behind):
    behind.exchange.place(order("BUY", quantity="10", id="entry"))
    behind.exchange.place(stop("SELL", "95", id="s"))
    behind.market.tick(94, minutes=1.05)
    behind.at(1.2)
    assert behind.exits() == []
    behind.market.tick(94, minutes=1.25)
    behind.at(1.3)
    assert behind.exits() == [("s", D(94), 1.3)]


def test_of_a_candle_unknown_when_the_order_came_only_what_is_new_after_the_first_sight_counts(behind):
    """Nobody can tell whether the low of minute 1 was before the stop or after it."""
    behind.exchange.place(order("BUY", quantity="10", id="entry"))
    behind.exchange.place(stop("SELL", "95", id="s"))
    behind.market.tick(94, minutes=1.05)
    behind.market.tick(99, minutes=1.3)
    behind.at(1.35)
    behind.exchange.advance()
    behind.market.tick(93, minutes=1.4)
    behind.market.tick(99, minutes=1.5)
    behind.at(1.6)
    assert behind.exits() == [("s", D(95), 1.6)]


def test_after_a_candle_unknown_when_the_order_came_the_next_counts_whole(behind):
    behind.exchange.place(order("BUY", quantity="10", id="entry"))
    behind.exchange.place(stop("SELL", "95", id="s"))
    for price, minutes in ((99, 1.05), (94, 1.9), (99, 2.1), (94, 2.2), (99, 2.3)):
        behind.market.tick(price, minutes=minutes)
    behind.at(2.5)
    assert behind.exits() == [("s", D(95), 2.5)]


def test_a_late_settlement_is_not_paid_by_the_position_that_came_after_it(room):
    room.buy()
    room.exchange.place(stop("SELL", "95", id="s"))
    room.exchange.place(order("SELL", quantity="10", reduce_only=True))
    room.at(3)
    room.exchange.place(order("BUY", quantity="10"))
    room.market.pay("0.001", minutes=2, mark="100")
    room.market.pay("0.001", minutes=4, mark="100")
    room.at(5)
    paid = [(i.amount, i.at) for i in room.exchange.income(since=START) if i.kind is IncomeKind.FUNDING_FEE]
    assert paid == [(D(-1), START + timedelta(minutes=4))]
