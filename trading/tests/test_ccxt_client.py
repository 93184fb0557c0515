"""What the shared client does around any object of ccxt: pay, judge, count what left. The object is a stand-in."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from marketdata.aster.answers import Answer, Throttled
from marketdata.venues.public import Purpose, VenueBusy, VenueDown, VenueRefused
from trading.exchange.aster_codes import Call
from trading.exchange.base import Ambiguous, Unavailable
from trading.exchange.through_ccxt.client import CcxtClient, shared_budget
from trading.exchange.through_ccxt.failures import acted, never_connected, without_answer
from trading.tests.aster_kit import Purse
from vibex.lib.errors import NeedsOperator


class BaseError(Exception):
    """As ccxt names it."""


BaseError.__module__ = "ccxt.base.errors"


class AuthenticationError(BaseError):
    pass


class Object:
    """What of ccxt's objects is used: it pays, signs, sends and hands the answer to a hook, in this order."""

    def __init__(self, fault: Exception | None = None, at: str = "") -> None:
        self.fault, self.at = fault, at
        self.timeout = 0
        self.status, self.body, self.headers = 200, "{}", {"X-MBX-USED-WEIGHT-1M": "7"}

    def calculate_rate_limiter_cost(self, *_: Any) -> float:
        return 2.5

    def throttle(self, cost: float) -> None:
        raise AssertionError("ccxt would wait here")

    def on_rest_response(self, *told: Any) -> str:
        raise AssertionError("replaced")

    def fetch(self, *_: Any) -> Any:
        self._fail("sent")
        self.on_rest_response(self.status, "", "https://a/b?signature=x", "POST", self.headers, self.body, {}, "")
        self._fail("answered")
        return {}

    def call(self) -> Any:
        self.throttle(self.calculate_rate_limiter_cost(["fapiPrivate"], "POST", "order", {}, {}))
        self._fail("signing")
        return self.fetch("https://a/b", "POST")

    def _fail(self, at: str) -> None:
        if self.fault and self.at == at:
            raise self.fault


def client(one: Object, purse: Purse | None = None, judge: Any = None) -> CcxtClient:
    return CcxtClient(
        lambda: one, venue="Somewhere", judge=judge or (lambda answer, what: None), budget=purse or Purse(), attempts=1
    )


def sent(one: Object, purse: Purse | None = None, judge: Any = None, **more: Any) -> Any:
    return client(one, purse, judge).send("POST order", lambda ccxt: ccxt.call(), **more)


def test_a_request_is_paid_for_in_whole_weights_out_of_its_share():
    purse, one = Purse(), Object()
    assert sent(one, purse) == {}
    sent(one, purse, closing=True)
    client(one, purse).urgent().ask("GET order", lambda ccxt: ccxt.call())
    assert purse.taken == [(3, Purpose.FEED), (3, Purpose.CLOSING), (3, Purpose.CLOSING)]


def test_what_cannot_be_paid_for_never_leaves():
    purse, one = Purse(), Object(AssertionError("it left"), "sent")
    purse.fault = VenueBusy("used up", until=datetime.now(UTC))
    with pytest.raises(VenueBusy) as busy:
        sent(one, purse)
    assert busy.value.arrived is False


@pytest.mark.parametrize(("before", "arrived"), [(True, False), (False, None)])
def test_a_database_that_is_gone_is_told_by_whether_the_request_had_left(before, arrived):
    purse = Purse()
    setattr(purse, "fault" if before else "fault_after", OperationalError("gone"))
    with pytest.raises(VenueDown) as down:
        sent(Object(), purse)
    assert down.value.arrived is arrived


def test_what_ccxt_itself_refuses_before_anything_left_is_certain():
    with pytest.raises(VenueRefused) as refused:
        sent(Object(BaseError("amount too small"), "signing"))
    assert refused.value.code == "BaseError"
    with pytest.raises(NeedsOperator):
        sent(Object(AuthenticationError("requires `secret` credential"), "signing"))


def test_a_fault_of_our_own_is_itself_before_and_unknown_after():
    with pytest.raises(ZeroDivisionError):
        sent(Object(ZeroDivisionError(), "signing"))
    for at in ("sent", "answered"):
        with pytest.raises(VenueDown) as down:
            sent(Object(ZeroDivisionError(), at))
        assert down.value.arrived is None


def test_no_text_of_ccxt_reaches_the_error_of_a_request_that_left_nor_stands_behind_it():
    fault = BaseError("POST https://a/b?signature=abc")
    with pytest.raises(VenueDown) as down:
        sent(Object(fault, "sent"))
    assert "signature" not in str(down.value)
    assert down.value.__cause__ is None
    assert down.value.__suppress_context__


def test_an_answer_is_judged_before_ccxt_sees_it():
    seen: list[Answer] = []

    def judge(answer: Answer, what: str) -> None:
        seen.append(answer)
        raise VenueRefused(f"{what}: no", code="-1")

    one = Object()
    one.status, one.body = 400, '{"code": -1}'
    with pytest.raises(VenueRefused, match="POST order: no"):
        sent(one, judge=judge)
    assert (seen[0].status, seen[0].body, seen[0].used) == (400, b'{"code": -1}', 7)


@pytest.mark.parametrize(
    ("signed", "told", "share", "arrived", "waits"),
    [
        (True, True, Purpose.FEED, False, True),
        (False, False, Purpose.FEED, None, True),
        (False, False, Purpose.CLOSING, None, False),
        (True, True, Purpose.CLOSING, False, True),
    ],
)
def test_a_refusal_for_the_rate_blocks_all_and_closing_only_by_the_venues_own_word(signed, told, share, arrived, waits):
    def judge(answer: Answer, what: str) -> None:
        raise Throttled("too much", seconds=30.0, signed=signed, told=told)

    now = datetime.now(UTC)
    with pytest.raises(VenueBusy) as busy:
        sent(Object(), judge=judge, closing=share is Purpose.CLOSING)
    assert busy.value.arrived is arrived
    assert (busy.value.until > now + timedelta(seconds=20)) is waits


def test_two_threads_have_an_object_each():
    made: list[Object] = []

    def make() -> Object:
        made.append(Object())
        return made[-1]

    one = CcxtClient(make, venue="Somewhere", judge=lambda answer, what: None, budget=Purse(), attempts=1)
    barrier = threading.Barrier(2, timeout=10)

    def call(ccxt: Object) -> Object:
        barrier.wait()
        return ccxt

    used: list[Object] = []
    threads = [threading.Thread(target=lambda: used.append(one.send("x", call))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used[0] is not used[1]
    one.send("x", used.append)
    assert used[2] in made
    assert len(made) == 2


def test_a_change_that_breaks_inside_of_vibex_is_ambiguous():
    with pytest.raises(Ambiguous), acted(lambda refused, call: None, Call.ENTRY):
        raise KeyError("orderId")
    with pytest.raises(Unavailable), acted(lambda refused, call: None, Call.ENTRY):
        raise VenueDown("no connection", arrived=False)


def test_only_what_had_no_connection_is_known_not_to_have_arrived():
    def fault(name: str, *args: Any) -> BaseError:
        error = BaseError("x")
        error.__cause__ = type(name, (Exception,), {})(*args)
        return error

    class Pool(Exception):
        reason = type("NewConnectionError", (Exception,), {})()

    assert never_connected(fault("ConnectTimeout"))
    assert never_connected(fault("ProxyError"))
    assert never_connected(fault("ConnectionError", Pool()))
    for name in ("ReadTimeout", "ConnectionError", "ChunkedEncodingError", "TooManyRedirects"):
        assert not never_connected(fault(name, "Remote end closed connection without response"))
    told = without_answer(fault("ReadTimeout"), "Somewhere", "POST order", left=True)
    assert isinstance(told, VenueDown)
    assert told.arrived is None


def test_the_budget_is_that_of_the_host():
    assert shared_budget("https://demo-fapi.binance.com/", limit=2_400).host == "demo-fapi.binance.com"
