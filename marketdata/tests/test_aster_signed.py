"""Signed requests: what is sent is what was signed, it is sent once, and whoever sent it knows whether it may have arrived."""

import itertools
import json
import logging
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx2
import pytest
import stamina

from marketdata.aster.http import AsterHttp
from marketdata.aster.signing import HmacSigner, LocalNonces, V3Signer
from marketdata.aster.wire import SIGNED_CONNECT_SECONDS
from marketdata.services.budget import Unmetered
from marketdata.tests.test_aster_http import HTML, PASSING, Ledger, Venue, reply
from marketdata.tests.test_signing import API_KEY, KEY, SECRET, SIGNER, USER
from marketdata.venues.public import Purpose, VenueBusy, VenueDown, VenueRefused
from vibex.lib.clock import Deadline
from vibex.lib.errors import NeedsOperator

ODD = {"symbol": "BTCUSDT", "newClientOrderId": "vx:1/~ü b+c&d=e%20'\"<>|\\^`{}🙂", "quantity": "0.001", "empty": ""}
NONCE = 1_750_147_220_000_000
METHODS = ["GET", "POST", "PUT", "DELETE"]


class Recorded:
    """A signer that keeps what it signed."""

    def __init__(self, signer):
        self.signer, self.user, self.signed = signer, signer.user, []

    def sign(self, method, params):
        self.signed.append(self.signer.sign(method, params))
        return self.signed[-1]


def v3():
    counter = itertools.count(NONCE)
    nonces = LocalNonces(lambda: next(counter))
    return Recorded(V3Signer(user=USER, signer=SIGNER, private_key=KEY, chain_id=714, nonces=nonces))


def v1():
    return Recorded(HmacSigner(key=API_KEY, secret=SECRET, clock=lambda: 1_591_702_613_943))


@pytest.fixture(autouse=True)
def _no_waiting():
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture(params=[v3, v1], ids=["V3", "V1"])
def signer(request):
    return request.param()


@pytest.fixture
def client():
    made = []

    def make(*answers, budget=None, **options):
        venue, ledger = Venue(*answers), budget or Ledger()
        transport = httpx2.MockTransport(venue)
        http = AsterHttp("https://venue.test/", ledger, Purpose.FEED, transport=transport, jitter=0, **options)
        made.append(http)
        return http, venue, ledger

    yield make
    for http in made:
        http.close()


@contextmanager
def raw_server(*answers):
    """Serve on a free port with a bare socket, and hand over what came, byte for byte.

    Each connection gets one answer: bytes, or None to hang up without a word.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(10)
    came = []

    def serve():
        for answer in answers:
            connection, _ = listening.accept()
            with connection:
                came.append(_request_of(connection))
                if answer:
                    connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", came
    finally:
        thread.join(10)
        listening.close()


def _request_of(connection):
    connection.settimeout(10)
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return head, body


def raw(status=200, content=None, text=None):
    body = (json.dumps(content or {}) if text is None else text).encode()
    return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)) + body


@pytest.mark.parametrize("method", METHODS)
def test_what_arrives_is_byte_for_byte_what_was_signed(signer, method):
    with raw_server(raw(content={"orderId": 7})) as (url, came), AsterHttp(url, Unmetered(), Purpose.FEED) as http:
        assert http.send(method, "/fapi/v3/order", ODD, signer=signer, weight=1) == {"orderId": 7}
    ((head, body),), (signed,) = came, signer.signed
    target = f"/fapi/v3/order?{signed.query}" if signed.query else "/fapi/v3/order"
    assert head.split(b"\r\n")[0] == f"{method} {target} HTTP/1.1".encode()
    assert body == signed.body.encode()


def test_the_form_and_the_key_are_named_in_the_headers():
    with raw_server(raw()) as (url, came), AsterHttp(url, Unmetered(), Purpose.FEED) as http:
        http.send("POST", "/fapi/v1/order", ODD, signer=v1(), weight=1)
    lines = [line.lower() for line in came[0][0].decode().split("\r\n")]
    assert "content-type: application/x-www-form-urlencoded" in lines
    assert f"x-mbx-apikey: {API_KEY}" in lines


def test_a_body_of_nothing_but_the_signature_is_sent_too(signer):
    with raw_server(raw()) as (url, came), AsterHttp(url, Unmetered(), Purpose.FEED) as http:
        http.send("POST", "/fapi/v3/listenKey", signer=signer, weight=1)
    assert came[0][1] == signer.signed[0].body.encode()


def test_a_request_is_paid_for_by_its_own_purpose(client, signer):
    http, _, ledger = client(reply())
    http.send("DELETE", "/fapi/v3/order", signer=signer, weight=1, purpose=Purpose.CLOSING)
    http.ask("/fapi/v3/order", signer=signer, weight=2, purpose=Purpose.CLOSING)
    http.send("DELETE", "/fapi/v3/order", signer=signer, weight=3)
    assert ledger.taken == [(1, Purpose.CLOSING), (2, Purpose.CLOSING), (3, Purpose.FEED)]


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_ever_sent_a_second_time(client, signer, name, method):
    http, venue, ledger = client(PASSING[name], reply(content={"orderId": 1}))
    with pytest.raises(VenueDown):
        http.send(method, "/fapi/v3/order", ODD, signer=signer, weight=1)
    assert len(venue.asked) == len(ledger.taken) == len(signer.signed) == 1


@pytest.mark.parametrize("name", sorted(PASSING.keys() - {"no connection"}))
def test_where_an_answer_is_missing_or_says_nothing_nobody_knows_whether_it_arrived(client, signer, name):
    http, _, _ = client(PASSING[name])
    with pytest.raises(VenueDown) as caught:
        http.send("POST", "/fapi/v3/order", ODD, signer=signer, weight=1)
    assert caught.value.arrived is None


UNKNOWN = {
    "a page of the firewall": reply(403, text=HTML),
    "a page of no such path": reply(404, text=HTML),
    "a timeout while writing": httpx2.WriteTimeout("slow"),
    "a connection that broke while writing": httpx2.WriteError("broken pipe"),
    "a connection that broke while reading": httpx2.ReadError("reset"),
    "a body without end": reply(text="9" * 10_000_001),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_broke_after_the_first_byte_may_have_arrived(client, signer, name):
    http, _, _ = client(UNKNOWN[name])
    with pytest.raises(VenueDown) as caught:
        http.send("POST", "/fapi/v3/order", ODD, signer=signer, weight=1)
    assert caught.value.arrived is None


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ConnectError("refused"),
        httpx2.ConnectTimeout("slow"),
        httpx2.PoolTimeout("busy"),
        httpx2.ProxyError("407"),
    ],
)
def test_what_had_no_connection_certainly_never_left(client, signer, error):
    http, _, _ = client(error)
    with pytest.raises(VenueDown) as caught:
        http.send("POST", "/fapi/v3/order", ODD, signer=signer, weight=1)
    assert caught.value.arrived is False


def test_a_real_port_where_nobody_listens_never_got_it(signer):
    with AsterHttp("http://127.0.0.1:1", Unmetered(), Purpose.FEED) as http, pytest.raises(VenueDown) as caught:
        http.send("POST", "/fapi/v3/order", ODD, signer=signer, weight=1)
    assert caught.value.arrived is False


def test_a_real_server_that_hangs_up_or_stays_silent_may_have_got_it(signer):
    with raw_server(None, raw(text="")) as (url, came), AsterHttp(url, Unmetered(), Purpose.FEED) as http:
        for _ in range(2):
            with pytest.raises(VenueDown) as caught:
                http.send("POST", "/fapi/v3/order", ODD, signer=signer, weight=1)
            assert caught.value.arrived is None
    assert len(came) == 2


def test_after_its_deadline_a_request_does_not_leave_and_is_not_even_signed(client, signer):
    http, venue, ledger = client(reply())
    with pytest.raises(VenueDown) as caught:
        http.send("POST", "/x", signer=signer, weight=1, deadline=Deadline(5, started=time.monotonic() - 6))
    assert caught.value.arrived is False
    assert venue.asked == ledger.taken == signer.signed == []


def test_a_request_whose_signature_came_too_late_does_not_leave(client):
    http, venue, _ = client(reply())
    deadline = Deadline(5)

    class Slow:
        user = "slow"

        def sign(self, method, params):
            object.__setattr__(deadline, "started", time.monotonic() - 6)
            return v3().sign(method, params)

    with pytest.raises(VenueDown) as caught:
        http.send("POST", "/x", signer=Slow(), weight=1, deadline=deadline)
    assert (caught.value.arrived, venue.asked) == (False, [])


def test_where_the_signer_has_no_nonce_nothing_is_sent(client):
    class Held:
        user = "held"

        def sign(self, method, params):
            raise NeedsOperator("the clock was put back")

    http, venue, _ = client(reply())
    for call in (
        lambda: http.send("POST", "/x", signer=Held(), weight=1),
        lambda: http.ask("/x", signer=Held(), weight=1),
    ):
        with pytest.raises(NeedsOperator):
            call()
    assert venue.asked == []


def test_what_is_signed_does_not_wait_long_for_a_connection(client, signer):
    http, venue, _ = client(reply())
    http.send("POST", "/x", signer=signer, weight=1)
    http.get("/x", weight=1)
    signed, plain = (request.extensions["timeout"] for request in venue.asked)
    assert signed["connect"] == SIGNED_CONNECT_SECONDS < 5 <= plain["connect"]


def test_an_exchange_that_turns_us_away_or_a_spent_budget_is_busy_and_nothing_was_done(client, signer):
    busy = VenueBusy("used up", until=datetime.now(UTC))
    for answer, budget, left in ((reply(429, text=""), None, 1), (reply(), Ledger(busy), 0)):
        http, venue, _ = client(answer, budget=budget)
        with pytest.raises(VenueBusy):
            http.send("POST", "/fapi/v3/order", ODD, signer=signer, weight=1)
        assert len(venue.asked) == left


def test_a_refusal_carries_the_code_of_the_venue(client, signer):
    http, venue, _ = client(reply(400, {"code": -2019, "msg": "Margin is insufficient."}))
    with pytest.raises(VenueRefused) as caught:
        http.send("POST", "/fapi/v3/order", ODD, signer=signer, weight=1)
    assert (caught.value.code, len(venue.asked)) == ("-2019", 1)


@pytest.mark.parametrize("name", PASSING)
def test_a_signed_question_is_asked_again_and_each_time_signed_anew(client, name):
    http, venue, ledger = client(PASSING[name], PASSING[name], reply(content={"orderId": 1}))
    signer = v3()
    assert http.ask("/fapi/v3/order", {"symbol": "BTCUSDT"}, signer=signer, weight=1) == {"orderId": 1}
    assert len(venue.asked) == len(ledger.taken) == 3
    nonces = [signed.nonce for signed in signer.signed]
    assert nonces == sorted(set(nonces))
    assert [request.url.query.decode() for request in venue.asked] == [signed.query for signed in signer.signed]


class Bare(logging.Handler):
    """Takes what a logger says before any handler of ours has masked it."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.said = []

    def emit(self, record):
        self.said += [record.getMessage(), repr(record.args), str(vars(record))]


@pytest.fixture
def overheard():
    """Let libraries loose that are kept quiet in an installation, and listen at each of them."""
    handler, loggers = Bare(), [logging.getLogger(name) for name in TALKATIVE]
    before = [(logger.level, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
    yield handler.said
    for logger, (level, disabled) in zip(loggers, before, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.disabled = disabled


TALKATIVE = ["httpx2", "httpcore2.connection", "httpcore2.http11", "stamina", "marketdata", "asyncio"]
ANSWERS = {
    "hung up": None,
    "unavailable": raw(503, text=HTML),
    "refused": raw(400, {"code": -1022, "msg": "Signature for this request is not valid."}),
    "done": raw(),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_key_secret_or_signature_reaches_a_log_or_a_message(signer, method, answer, overheard, caplog):
    caplog.set_level(logging.DEBUG)
    with raw_server(ANSWERS[answer]) as (url, _), AsterHttp(url, Unmetered(), Purpose.FEED, attempts=1) as http:
        try:
            if method == "GET":
                http.ask("/fapi/v3/order", {"symbol": "BTCUSDT"}, signer=signer, weight=1)
            else:
                http.send(method, "/fapi/v3/order", {"symbol": "BTCUSDT"}, signer=signer, weight=1)
        except (VenueDown, VenueRefused) as error:
            overheard += [str(error), repr(error)]
    (signed,) = signer.signed
    signature = (signed.query or signed.body).partition("&signature=")[2]
    text = "\n".join([*overheard, caplog.text])
    assert "send_request" in text, "the libraries said nothing: the test listens at the wrong place"
    for secret in (KEY, SECRET, API_KEY, signature):
        assert secret not in text
