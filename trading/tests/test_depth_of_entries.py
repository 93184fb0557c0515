"""Whose book is looked at before an entry is ruled, and that an entry holds when the book cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from decisions.domain.proposal import Action, Proposal, Verdict
from marketdata.domain.snapshot import Depth, Quote
from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
from trading.services import cycle
from trading.services.cycle import run_cycle
from trading.services.journal.base import Line
from trading.tests.test_cycle import SIZED, Scripted
from trading.tests.test_execution import RUN, carry_out, held
from trading.tests.venue_support import NOON, Desk, StillMarket, make_desk

D = Decimal
DEEP = Depth("BTCUSDT", NOON, ((D(99_995), D(100)),), ((D(100_005), D(100)),))
HOLD, CLOSE = Proposal("BTCUSDT", Action.HOLD), Proposal("BTCUSDT", Action.CLOSE)


@dataclass
class MarketWithBooks(StillMarket):
    """A market that stands still, and has this book or fails in this way."""

    book: Depth | Exception | None = None
    asked: list[str] = field(default_factory=list)
    quote_at: datetime | None = None

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        return super().quote(symbol, at=self.quote_at or at)

    def depth(self, symbol: str, *, at: datetime) -> Depth | None:
        self.asked.append(symbol)
        if isinstance(self.book, Exception):
            raise self.book
        return self.book


def desk_with(book: Depth | Exception | None, *proposals: Proposal) -> tuple[Desk, MarketWithBooks]:
    desk, market = make_desk(), MarketWithBooks(book=book)
    desk.world = replace(desk.world, decider=Scripted(*proposals), market=market)
    return desk, market


def ruled_on(monkeypatch: pytest.MonkeyPatch) -> list[Depth | None]:
    """Return a list that fills with the books that risk is shown."""
    seen: list[Depth | None] = []
    rule_all = cycle.rule_all

    def watching(proposals, *, snapshot, **more):
        seen.append(snapshot.symbols["BTCUSDT"].depth)
        return rule_all(proposals, snapshot=snapshot, **more)

    monkeypatch.setattr(cycle, "rule_all", watching)
    return seen


def test_an_entry_is_ruled_with_the_book_of_now(monkeypatch):
    seen = ruled_on(monkeypatch)
    desk, market = desk_with(DEEP, SIZED)
    result = run_cycle(desk.world, RUN)
    assert [ruling.verdict for ruling in result.rulings] == [Verdict.ACCEPTED]
    assert (market.asked, seen) == (["BTCUSDT"], [DEEP])
    assert held(desk) == D("0.02")


def test_a_market_without_books_is_no_reason_to_hold(monkeypatch):
    seen = ruled_on(monkeypatch)
    desk, market = desk_with(None, SIZED)
    run_cycle(desk.world, RUN)
    assert (market.asked, seen) == (["BTCUSDT"], [None])
    assert held(desk) == D("0.02")


@pytest.mark.parametrize("proposals", [(), (HOLD,), (CLOSE,)], ids=["nothing", "hold", "close"])
def test_the_book_is_not_asked_for_when_nothing_is_to_be_opened(proposals):
    desk, market = desk_with(VenueDown("gone"), *proposals)
    carry_out(desk, SIZED)
    run_cycle(desk.world, RUN)
    assert market.asked == []
    assert held(desk) == (D(0) if CLOSE in proposals else D("0.02"))


def test_with_a_limit_of_none_the_book_is_not_asked_for():
    desk, market = desk_with(VenueDown("gone"), SIZED)
    run_cycle(desk.world, replace(RUN, limits=replace(RUN.limits, min_depth=D(0))))
    assert market.asked == []
    assert held(desk) == D("0.02")


def test_a_symbol_that_holds_already_is_not_asked_for():
    desk, market = desk_with(DEEP, SIZED)
    desk.clock.move_to(NOON + timedelta(minutes=3))
    market.quote_at = NOON
    result = run_cycle(desk.world, RUN)
    assert [ruling.verdict for ruling in result.rulings] == [Verdict.REFUSED]
    assert market.asked == []


@pytest.mark.parametrize(
    ("book", "text"),
    [
        (VenueDown("the venue does not answer"), "could not be read: the venue does not answer"),
        (VenueBusy("the requests are used up", until=NOON), "could not be read: the requests are used up"),
        (VenueRefused("no such symbol"), "could not be read: no such symbol"),
        (replace(DEEP, at=NOON - timedelta(seconds=11)), "is 11 s old"),
        (replace(DEEP, asks=()), "has no asks"),
        (replace(DEEP, bids=((D(100_010), D(1)),)), "is crossed"),
    ],
)
def test_promise_5_garbage_in_no_trade_an_entry_holds_when_its_book_cannot_be_used(book, text):
    desk, _ = desk_with(book, SIZED)
    diary: list[Line] = []
    desk.journal.diary = diary.extend  # type: ignore[method-assign]
    result = run_cycle(desk.world, RUN)
    (ruling,) = result.rulings
    assert ruling.verdict is Verdict.REFUSED
    assert text in str([hit.text for hit in ruling.hits])
    assert held(desk) == D(0)
    assert any(line.data.get("code") == "book.depth" and text in line.text for line in diary)


def test_promise_4_a_book_that_is_gone_refuses_no_close():
    desk, _ = desk_with(VenueDown("gone"), CLOSE, SIZED)
    carry_out(desk, SIZED)
    run_cycle(desk.world, RUN)
    assert held(desk) == D(0)
