"""The user stream and the test exchange, over real connections: what is told is heard, what was missed leaves a gap."""

import asyncio
import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiohttp import web

from marketdata.venues.public import VenueRefused
from trading.domain.venue import VenueStatus
from trading.domain.venue_events import ConfigChanged, Gap, OrderChanged
from trading.exchange.aster.user_stream import AsterUserStream
from trading.tests.aster_kit import Purse
from trading.tests.user_stream_kit import QUICK, Ear, keys_of, listening, stage
from vibex.lib.masking import mask_text

pytestmark = pytest.mark.ci

STOP = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "closePosition": "true",
    "workingType": "MARK_PRICE",
    "stopPrice": "49000",
}
BOUGHT = [("in", "NEW", "NEW"), ("in", "TRADE", "FILLED")]


@pytest.fixture(params=[3, 1], ids=["v3", "v1"])
def trader(request):
    with stage(request.param) as running:
        yield running


@pytest.fixture
def alone():
    with stage() as running:
        yield running


def listens(trader):
    """Return the listen key of the account at the exchange, None when it has none."""
    return trader.exchange.server.signed.accounts.of(trader.user).listen_key


def asked(trader, method):
    return [
        one for one in trader.exchange.control.log() if one["path"].endswith("/listenKey") and one["method"] == method
    ]


def buy(trader):
    trader.buy("0.1", newClientOrderId="in")


def test_an_order_and_its_execution_are_heard_as_the_exchange_has_them(trader):
    purse = Purse()
    with listening(trader, purse=purse) as ear:
        buy(trader)
        ear.until(lambda one: one.accounts())
        assert ear.orders() == BOUGHT
        event = next(one for one in ear.heard if isinstance(one, OrderChanged) and one.trade)
        (made,) = trader.truth().trades
        assert replace(event.trade, client_order_id="") == replace(made, client_order_id="", fee=event.trade.fee)
        assert float(event.trade.fee) == pytest.approx(float(made.fee))
        assert event.report.filled == made.quantity
        (position,) = ear.accounts()[0].positions
        assert (position.symbol, position.quantity) == ("BTCUSDT", made.quantity)
        assert ear.stream.connected()
        assert ear.stream.problem() == ""
        assert ear.stream.connected_at() <= ear.stream.heard_at() <= datetime.now(UTC)
    assert not ear.stream.connected()
    assert listens(trader) is None, "the key is closed at the end"
    assert [weight for weight, _ in purse.taken] == [1, 1], "what is asked is paid for"


def test_stops_amendments_settings_and_deposits_are_heard(alone):
    with listening(alone) as ear:
        buy(alone)
        alone.told("POST", "order", **STOP, newClientOrderId="stop")
        alone.exchange.control.set_price("BTCUSDT", mark=48_999)
        alone.told("POST", "leverage", symbol="BTCUSDT", leverage=7)
        alone.exchange.control.deposit(alone.user, 50)
        ear.until(lambda one: one.accounts() and one.accounts()[-1].reason == "DEPOSIT")
        assert ear.orders() == [*BOUGHT, ("stop", "NEW", "NEW"), ("stop", "TRADE", "FILLED")]
        assert [one.text for one in ear.heard if isinstance(one, ConfigChanged)] == ["the leverage of BTCUSDT is 7"]
        assert ear.accounts()[1].positions[0].quantity == 0


def test_a_message_that_comes_twice_is_told_twice_and_late_ones_fall_into_line(alone):
    alone.exchange.control.stream_fault("duplicate", count=3)
    with listening(alone) as ear:
        buy(alone)
        ear.until(lambda one: len(one.accounts()) == 2)
        assert ear.orders() == [BOUGHT[0], BOUGHT[0], BOUGHT[1], BOUGHT[1]]


def test_an_event_that_was_overtaken_is_put_in_its_place(alone):
    with listening(alone) as ear:
        alone.exchange.control.stream_fault("reorder", count=1, after=1)
        alone.told("POST", "order", **STOP | {"stopPrice": "48000"}, newClientOrderId="first")
        alone.exchange.control.step(1)
        alone.told("POST", "order", **STOP | {"stopPrice": "47000"}, newClientOrderId="second")
        ear.until(lambda one: len(one.orders()) == 2)
        assert [name for name, _, _ in ear.orders()] == ["first", "second"]


def test_an_event_that_comes_far_too_late_is_told_all_the_same(alone):
    with listening(alone) as ear:
        alone.exchange.control.stream_fault("delay", count=1, seconds=0.3)
        buy(alone)
        ear.until(lambda one: len(one.orders()) == 2 and one.accounts())
        assert ear.orders() == BOUGHT[::-1]


def test_a_message_that_cannot_be_read_leaves_a_gap_and_the_others_are_heard(alone):
    with listening(alone) as ear:
        alone.exchange.control.stream_fault("corrupt", count=1)
        buy(alone)
        ear.until(lambda one: one.accounts() and "a message could not be read" in one.gaps())
        assert ear.orders() == BOUGHT[1:]


def test_a_connection_that_breaks_is_replaced_and_leaves_a_gap(trader):
    with listening(trader) as ear:
        trader.exchange.control.cut()
        ear.until(lambda one: one.gaps().count("connected") == 2)
        buy(trader)
        ear.until(lambda one: one.orders() == BOUGHT)


def test_a_listen_key_that_expired_is_replaced_and_leaves_gaps(trader):
    with listening(trader) as ear:
        first = listens(trader)
        trader.exchange.control.expire_listen_key(trader.user)
        ear.until(lambda one: one.gaps().count("connected") == 2)
        assert "the listen key expired" in ear.gaps()
        assert listens(trader) not in (None, first)
        buy(trader)
        ear.until(lambda one: one.orders() == BOUGHT)


def test_silence_on_a_connection_that_lives_is_a_gap_and_nothing_more(alone):
    with listening(alone, pace=replace(QUICK, quiet=0.2, ping=0.05)) as ear:
        alone.exchange.control.stream_fault("silence")
        buy(alone)
        ear.until(lambda one: [gap for gap in one.gaps() if gap.startswith("no event for")])
        before = ear.stream.heard_at()
        ear.until(lambda one: one.stream.heard_at() > before)
        assert ear.gaps().count("connected") == 1
        assert ear.orders() == []


def test_lost_messages_leave_nothing(alone):
    """Only asking finds them: this is why the guard asks every half minute whatever was heard."""
    with listening(alone) as ear:
        alone.exchange.control.stream_fault("lose", count=2)
        buy(alone)
        ear.until(lambda one: one.accounts())
        assert ear.orders() == []


def test_the_key_is_prolonged_and_one_that_is_gone_is_replaced(trader):
    with listening(trader, pace=replace(QUICK, prolong=0.1)) as ear:
        ear.until(lambda _: len(asked(trader, "PUT")) >= 2)
        assert {one["status"] for one in asked(trader, "PUT")} == {200}
        assert ear.gaps() == ["connected"]
        gone = listens(trader)
        trader.exchange.server.signed.accounts.of(trader.user).listen_key = None  # without a word, as by a DELETE
        ear.until(lambda one: one.gaps().count("connected") == 2)
        assert listens(trader) not in (None, gone)
        buy(trader)
        ear.until(lambda one: one.orders() == BOUGHT)


def test_a_key_that_nobody_prolongs_for_a_while_is_not_given_up(alone):
    with listening(alone, pace=replace(QUICK, prolong=0.1, again=0.05)) as ear:
        alone.exchange.control.fault("503", path="*/listenKey", count=6)
        ear.until(lambda _: len([one for one in asked(alone, "PUT") if one["status"] == 200]) >= 1)
        assert ear.gaps() == ["connected"]
        buy(alone)
        ear.until(lambda one: one.orders() == BOUGHT)


def test_a_connection_is_renewed_before_its_end_and_nothing_between_is_missed(alone):
    with listening(alone, pace=replace(QUICK, life=0.3, overlap=0.1)) as ear:
        for number in range(20):
            alone.buy("0.001", newClientOrderId=f"n{number}")
            ear.until(lambda one, name=f"n{number}": (name, "TRADE", "FILLED") in one.orders())
        assert alone.exchange.server.hub.opened >= 3
        assert "connected" in ear.gaps()
        assert ear.stream.complaints.counts == {}


def test_an_exchange_that_does_not_answer_is_asked_again_until_it_does(alone):
    alone.exchange.control.fault("503", path="*/listenKey", count=3)
    with listening(alone) as ear:
        assert len(asked(alone, "POST")) == 4
        assert ear.stream.complaints.counts == {"connect": 3}


def test_the_reason_why_nothing_can_come_is_told_without_the_key(alone):
    alone.exchange.control.fault("-1001", path="*/listenKey")
    stream = AsterUserStream(alone.exchange.ws, keys_of(alone), pace=QUICK)
    stream.start()
    try:
        Ear(stream).until(lambda one: "-1001" in one.stream.problem())
        assert stream.connected_at() is None
    finally:
        stream.stop()
    assert stream.problem() == "stopped"


def test_a_refusal_of_the_keys_is_not_repeated_at_once(alone):
    alone.exchange.control.dismiss_agent(alone.agent.address)
    stream = AsterUserStream(alone.exchange.ws, keys_of(alone), pace=QUICK)
    stream.start()
    try:
        Ear(stream).until(lambda one: "No agent found" in one.stream.problem())
        stream.wait(0.3)
        assert len(asked(alone, "POST")) == 1
    finally:
        began = time.monotonic()
        stream.stop()
        assert time.monotonic() - began < 3


def test_more_events_than_can_be_kept_leave_a_gap(alone):
    with listening(alone, kept=2) as ear:
        for number in range(4):
            alone.buy("0.001", newClientOrderId=f"n{number}")
        ear.until(lambda one: "more events than could be kept" in one.gaps() or one.stream.wait(0.1) is None)
        assert len([one for one in ear.heard if not isinstance(one, Gap)]) < 12


TALKATIVE = ["httpx2", "httpcore2", "aiohttp.client", "aiohttp.websocket", "asyncio", "marketdata", "trading"]


class Said(logging.Handler):
    """Keeps what is logged as it was handed in, before anything is masked."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.texts = []

    def emit(self, record):
        self.texts.append(f"{record.name}: {record.getMessage()} {record.exc_info}")


@pytest.fixture
def overheard():
    handler, loggers = Said(), [logging.getLogger(name) for name in TALKATIVE]
    before = [(logger.level, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
    yield handler.texts
    for logger, (level, disabled) in zip(loggers, before, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.disabled = disabled


def test_the_listen_key_stands_in_no_log_and_no_words(trader, overheard):
    with listening(trader, pace=replace(QUICK, prolong=0.05)) as ear:
        key = listens(trader)
        trader.exchange.control.cut()
        ear.until(lambda one: one.gaps().count("connected") == 2)
        trader.exchange.control.stream_fault("corrupt", count=1)
        buy(trader)
        ear.until(lambda one: "a message could not be read" in one.gaps())
        said = [repr(ear.stream), ear.stream.problem(), str(ear.heard), repr(keys_of(trader))]
    assert any("the connection ended" in text for text in overheard)
    assert key not in "\n".join(said + overheard)
    assert key not in mask_text(f"wss://somewhere/ws/{key}"), "whatever a library may say elsewhere is masked"


@pytest.mark.parametrize("payload", [None, {}, {"listenKey": ""}, {"listenKey": "a/b"}, {"listenKey": "x" * 201}, []])
def test_an_answer_without_a_key_is_none(payload):
    from marketdata.venues.public import VenueDown
    from trading.exchange.aster.listen_key import _key_in

    with pytest.raises(VenueDown, match="listenKey"):
        _key_in(payload)


def test_a_closed_key_cannot_be_prolonged(trader):
    keys = keys_of(trader)
    keys.obtain()
    keys.close()
    with pytest.raises(VenueRefused):
        keys.prolong()


def test_it_stops_at_once_while_the_exchange_hangs(alone):
    alone.exchange.control.fault("delay", path="*/listenKey", count=None, seconds=4.0)
    stream = AsterUserStream(alone.exchange.ws, keys_of(alone), pace=QUICK)
    stream.start()
    stream.wait(0.2)
    began = time.monotonic()
    assert stream.stop()
    assert time.monotonic() - began < 3


def test_it_can_be_started_again(alone):
    stream = AsterUserStream(alone.exchange.ws, keys_of(alone), pace=QUICK)
    for _ in range(2):
        stream.start()
        stream.start()
        ear = Ear(stream)
        ear.until(lambda one: one.gaps() == ["connected"])
        stream.stop()
    assert alone.exchange.control.connections() == 0


class Deaf:
    """A server that takes connections and answers nothing, no ping either."""

    def __init__(self):
        self.taken = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)

    def _run(self):
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        self._end = asyncio.Event()
        app = web.Application()
        app.router.add_get("/ws/{key}", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._end.wait()
        await runner.cleanup()

    async def _take(self, request):
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self.taken += 1
        await self._end.wait()
        return socket


def test_a_connection_that_does_not_even_answer_a_ping_is_replaced(alone):
    with Deaf() as deaf:
        stream = AsterUserStream(deaf.url, keys_of(alone), pace=replace(QUICK, ping=0.05, silence=0.2))
        stream.start()
        try:
            Ear(stream).until(lambda one: one.gaps().count("connected") >= 2)
            Ear(stream).until(lambda _: deaf.taken >= 2)
            assert stream.complaints.counts["lost"] >= 1
        finally:
            stream.stop()


def test_a_report_of_ours_is_open_until_it_is_over(alone):
    with listening(alone) as ear:
        alone.told("POST", "order", **STOP, newClientOrderId="stop")
        alone.told("DELETE", "order", symbol="BTCUSDT", origClientOrderId="stop")
        ear.until(lambda one: len(one.orders()) == 2)
        statuses = [one.report.status for one in ear.heard if isinstance(one, OrderChanged)]
        assert statuses == [VenueStatus.NEW, VenueStatus.CANCELED]
