"""One life of a position at the test exchange, struck once, looked after, and told how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal as D
from functools import partial
from typing import Any

import pytest
from django.db.models import F

from accounts.models import Account
from marketdata.aster import http as aster_http
from marketdata.aster.http import AsterHttp
from marketdata.models import VenueBudget
from tests.faults.matrix import LATE, PATIENT, REDUCING, Column, End, Phase, Struck
from trading.domain.orders import ARRIVES_WITHIN
from trading.domain.venue import OrderSide
from trading.exchange_server.server import Served
from trading.models import Order, Position
from trading.services import exchanges
from trading.services.standing import account_activate
from trading.services.stops import move_stop
from trading.tests.live_kit import BUY, CLOSE, SYMBOL, LiveHouse, books_tie_out, live_house, nothing_hangs
from vibex.lib.errors import VibexError

MOVED_TO = D(98_500)
STOPPED_AT = 97_900


@dataclass
class Cell:
    """A life in one cell of the matrix."""

    house: LiveHouse
    naps: list[float] = field(default_factory=list)
    recovery: float = 0.0
    """Seconds from the end of the fault until it was protected or flat, those that our code would have slept included."""

    # -- the life ------------------------------------------------------------------------------------------------

    def live_until(self, phase: Phase) -> None:
        """Bring the position to where the fault shall strike."""
        if phase is not Phase.ENTER:
            self.house.cycle(BUY)
            if not self.clean(phase):
                self.house.guard()  # on a busy machine our impatient client asks for the ledger in vain
            self.whole()
            assert self.protected()
        if phase is Phase.STOPPED:
            self.house.at(STOPPED_AT)
            assert self.house.held() == 0

    def step(self, phase: Phase) -> None:
        """Do what the fault strikes. Faults of the world end it as they end a task: with an error of ours."""
        with suppress(VibexError):
            match phase:
                case Phase.ENTER:
                    self.house.cycle(BUY)
                case Phase.MOVE:
                    self.house.at(100_000)
                    move_stop(self.house.world, SYMBOL, MOVED_TO)
                case Phase.CLOSE:
                    self.house.cycle(CLOSE)
                case Phase.STOPPED:
                    self.house.guard()

    def strike(self, call: Struck, fault: Column) -> None:
        if call.after_lost:
            self.house.fault("drop-after", path=call.path, method="POST", form={"type": call.after_lost})
        self.house.fault(
            fault.kind,
            path=call.path,
            method=call.method,
            form=dict(call.form),
            skip=call.skip,
            count=call.times,
            seconds=fault.seconds,
        )

    def struck(self) -> int:
        """How often the fault has struck."""
        return self.house.served.server.faults.rest[-1].struck

    def recover(self) -> None:
        """Let the fault be over, and the guard look once. It has to be safe then."""
        self.house.served.control.clear()
        VenueBudget.objects.update(blocked_until=None, told_until=None)
        self.house.proposals.clear()
        self.naps.clear()
        began = time.monotonic()
        self.house.guard()
        self.recovery = time.monotonic() - began + sum(self.naps)
        assert self.safe(), f"{self.house.held()} with stops {self.house.stops()} after the first look"

    def a_minute_passes(self) -> None:
        """Let nothing that was sent be on its way any more, and the guard look until it knows. Requests of a minute ago are
        no longer counted."""
        past = ARRIVES_WITHIN + timedelta(seconds=1)
        ours = Order.objects.filter(account=self.house.account)
        ours.update(sent_at=F("sent_at") - past, created=F("created") - past)
        VenueBudget.objects.all().delete()
        for _ in range(3):
            self.house.guard()
            if self.settled():
                break
        VenueBudget.objects.all().delete()

    def finish(self) -> None:
        """Lead the life to its end: entered where it was not, closed where it is open. Everything ties out."""
        account = self.house.account
        if account.state == Account.State.REDUCING:
            account_activate(account=account, actor=account.owner, reason="looked at")
        if not self.entries():
            run = self.house.cycle(BUY)
            assert self.house.held() == D("0.02"), run.text
            assert self.protected(), run.text
        if self.house.held():
            run = self.house.cycle(CLOSE)
            assert self.house.held() == 0, run.text
        self.house.guard()
        self.whole()
        assert self.house.truth.working() == []
        assert len(self.entries()) == 1, "one entry was meant"
        assert len([one for one in self.house.truth.trades if one.side is OrderSide.SELL]) == 1, "and one way out"
        assert Position.objects.get(account=account).closed

    # -- what stands ---------------------------------------------------------------------------------------------

    def end(self, phase: Phase, *, clean: bool) -> str:
        """Say how the struck step ended; `clean`: nothing was left to the guard."""
        told = self._end(phase, clean=clean)
        return f"{told}, {REDUCING}" if self.house.account.state == Account.State.REDUCING else told

    def _end(self, phase: Phase, *, clean: bool) -> str:
        good = End.THROUGH if clean else End.MENDED
        if phase in (Phase.CLOSE, Phase.STOPPED):
            return End.HELD if self.house.held() else good
        if self.house.held():
            return End.KEPT if phase is Phase.MOVE and self.house.stops() != [MOVED_TO] else good
        return End.CLOSED if self.entries() else End.NOT_ENTERED

    def clean(self, phase: Phase) -> bool:
        """Tell whether the step left nothing to do: safe, resolved, booked."""
        if not self.settled():
            return False
        return self.protected(moved=phase is Phase.MOVE) if self.house.held() else not self.house.truth.working()

    def settled(self) -> bool:
        """Tell whether nothing hangs, and the books are the exchange's."""
        try:
            self.whole()
        except AssertionError:
            return False
        return True

    def safe(self) -> bool:
        """Protected by exactly one stop, or flat with no order left."""
        return len(self.house.stops()) == 1 if self.house.held() else not self.house.truth.working()

    def protected(self, *, moved: bool = False) -> bool:
        kinds = sorted((one.type, one.close_position) for one in self.house.truth.working())
        both = [("STOP_MARKET", True), ("TAKE_PROFIT_MARKET", True)]
        return kinds == both and self.house.stops() == [MOVED_TO if moved else BUY.stop_loss]

    def entries(self) -> list[Any]:
        return [one for one in self.house.truth.orders if one.side is OrderSide.BUY]

    def whole(self) -> None:
        assert self.house.sent_twice() == []
        books_tie_out(self.house)
        nothing_hangs(self.house)


@contextmanager
def a_cell(monkeypatch: pytest.MonkeyPatch, served: Served, name: str = "live") -> Iterator[Cell]:
    """Open a fresh account at a running exchange. Our client is impatient, so that late is soon."""
    served.control.clear()
    _impatient(monkeypatch)
    naps: list[float] = []
    with live_house(monkeypatch, served=served, sleep=naps.append, name=name) as house:
        try:
            yield Cell(house, naps)
        finally:
            served.control.clear()


def late_ones_land(fault: Column) -> None:
    """Wait until a request is carried out whose sender has given up."""
    if fault.kind.startswith("delay"):
        time.sleep(LATE)


def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    client = partial(AsterHttp, timeout=PATIENT, patience=2 * PATIENT, jitter=0)
    monkeypatch.setattr(exchanges, "AsterHttp", client)
    for name, seconds in (("FIRST_PAUSE", 0.02), ("FIRST_BLOCK", 0.1), ("LONGEST_GUESS", 0.1)):
        monkeypatch.setattr(aster_http, name, seconds)
