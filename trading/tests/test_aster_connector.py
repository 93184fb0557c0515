"""The venue's own library carries requests where an operator asks for it, and nothing else changes for whoever trades."""

import json
import logging
import socket
import sys
import threading
import time
from contextlib import contextmanager
from decimal import Decimal as D

import pytest

from marketdata.aster.answers import BadGateway
from marketdata.aster.http import AsterHttp
from marketdata.aster.signing import HmacSigner
from marketdata.tests.test_aster_http import Ledger
from marketdata.venues.public import Purpose, VenueBusy, VenueDown, VenueRefused
from trading.domain.venue import VenueStatus
from trading.exchange.aster.connector import ConnectorWire, connector_problem, wire_for
from trading.exchange.aster.listen_key import ListenKeys
from trading.exchange.base import Ambiguous, Refused, Unavailable
from trading.tests.aster_server_kit import SYMBOL, aster, the_connector
from trading.tests.matching_kit import order
from vibex.lib.errors import NeedsOperator

KEY, SECRET = "k" * 64, "topsecret" * 7
BUY = order("BUY", "LIMIT", "10", id="entry", price="100.2", tif="IOC")
LOST_AFTER = ("drop-after", "503-after", "-1006-after", "-1007-after")
LOST_BEFORE = ("drop", "503", "500", "403", "404", "200-html", "429-empty", "-1001")
TURNED_AWAY = ("429", "418", "-1021")


@pytest.fixture(autouse=True)
def _no_package_stays():
    yield
    for name in ("aster.rest_api", "aster"):
        sys.modules.pop(name, None)


@pytest.fixture
def library():
    with the_connector() as module:
        module.Client.made.clear()
        yield module


@pytest.fixture
def house(library):
    with aster("v1", transport="connector") as running:
        yield running


def test_what_is_signed_goes_through_the_library_and_a_post_in_the_query(house, library):
    (client,) = library.Client.made
    assert (client.timeout, client.session.max_redirects) == ((3.0, 5.0), 0)
    sent = []
    through, client._send = client._send, lambda *what: sent.append(what) or through(*what)
    house.exchange.place(BUY)
    ((method, path, payload),) = sent
    assert (method, path) == ("POST", "/fapi/v1/order")
    assert {"timestamp", "signature", "recvWindow", "newClientOrderId"} <= payload.keys()
    assert house.purse.taken[-1] == (1, Purpose.FEED)
    assert threading.active_count() < 50, "in the calling thread"


@pytest.mark.parametrize("kind", LOST_AFTER)
def test_an_order_whose_answer_was_lost_is_found_by_its_client_id(house, kind):
    house.fault(kind, path="*/order", method="POST")
    with pytest.raises(Ambiguous):
        house.exchange.place(BUY)
    found = house.exchange.order(symbol=SYMBOL, client_order_id="entry")
    assert (found.status, found.filled) == (VenueStatus.FILLED, D(10))
    assert len(house.truth.orders_of("entry")) == 1


@pytest.mark.parametrize("kind", LOST_BEFORE)
def test_an_order_that_got_lost_on_the_way_is_asked_for_and_cleanly_not_there(house, kind):
    house.fault(kind, path="*/order", method="POST")
    with pytest.raises(Ambiguous):
        house.exchange.place(BUY)
    assert house.exchange.order(symbol=SYMBOL, client_order_id="entry") is None


@pytest.mark.parametrize("kind", TURNED_AWAY)
def test_an_order_that_the_exchange_turned_away_is_certainly_not_there(house, kind):
    house.fault(kind, path="*/order", method="POST", seconds=0.001)
    with pytest.raises(Unavailable):
        house.exchange.place(BUY)
    assert house.truth.orders == ()


def test_the_venues_own_count_is_taken_over(library):
    with the_answer(200, [], **{"X-MBX-USED-WEIGHT-1M": "321"}) as url:
        http, ledger = client_of(url)
        assert ask(http) == []
        assert ledger.reported == [321]


def test_an_answer_that_takes_too_long_is_given_up(library):
    with aster("v1", transport="connector", timeout=0.3) as house:
        house.fault("delay-after", path="*/order", method="POST", seconds=1.0)
        with pytest.raises(Ambiguous):
            house.exchange.place(BUY)
        assert house.exchange.order(symbol=SYMBOL, client_order_id="entry").filled == D(10)


def test_the_urgent_view_has_a_client_of_its_own(house, library):
    house.exchange.place(BUY)
    house.exchange.urgent().place(order("SELL", quantity="10", reduce_only=True))
    first, second = library.Client.made
    assert first is not second
    assert second.timeout == (3.0, 4.0)
    assert house.purse.taken[-1] == (1, Purpose.CLOSING)


def test_calls_about_a_listen_key_carry_the_key_alone(house):
    with AsterHttp(
        house.served.http,
        Ledger(),
        Purpose.FEED,
        attempts=1,
        wire=wire_for("connector", house.served.http, key=house.key.key, secret=house.key.secret),
    ) as http:
        keys = ListenKeys(
            http, HmacSigner(key=house.key.key, secret=house.key.secret, clock=lambda: 0), generation="v1"
        )
        assert keys.obtain()
        keys.close()


# Answers of all kinds


@contextmanager
def the_answer(status, content, **headers):
    """Serve one answer on a free port, again and again."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *what):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(5)


def client_of(url, **options):
    ledger = Ledger()
    wire = wire_for("connector", url, key=KEY, secret=SECRET)
    return AsterHttp(url, ledger, Purpose.FEED, attempts=1, jitter=0, wire=wire, **options), ledger


def signer():
    return HmacSigner(key=KEY, secret=SECRET, clock=lambda: round(time.time() * 1000))


def ask(http, method="GET"):
    return http.send(
        method, "/fapi/v1/order", {"symbol": "BTCUSDT", "origClientOrderId": "x"}, signer=signer(), weight=1
    )


NOBODY_KNOWS = [
    (400, {"error": "no code"}, VenueDown),
    (400, ["no", "code"], VenueDown),
    (400, {"code": -1102}, VenueDown),
    (403, "<html>forbidden</html>", BadGateway),
    (404, "<html>not here</html>", BadGateway),
    (408, {"code": -1007, "msg": "Timeout"}, VenueDown),
    (500, "<html>oops</html>", VenueDown),
    (503, {"code": -1000, "msg": "unknown"}, VenueDown),
    (200, "<html>welcome</html>", VenueDown),
    (429, "", VenueBusy),
    (418, "", VenueBusy),
]


@pytest.mark.parametrize(("status", "content", "error"), NOBODY_KNOWS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_clean_word_leaves_it_open_whether_it_arrived(library, status, content, error, method):
    with the_answer(status, content) as url:
        http, _ = client_of(url)
        with pytest.raises(error) as caught:
            ask(http, method)
        assert caught.value.arrived is None


@pytest.mark.parametrize(
    ("status", "code"), [(400, -4116), (400, -1121), (401, -2015), (400, -2013), (400, -4225), (400, -1021)]
)
def test_a_clean_no_is_a_no_with_its_code(library, status, code):
    with the_answer(status, {"code": code, "msg": "because"}) as url:
        http, _ = client_of(url)
        with pytest.raises(VenueRefused, match="because") as caught:
            ask(http)
        assert caught.value.code == str(code)


def test_a_refusal_for_its_rate_is_certain_and_silences_as_long_as_is_told(library):
    with the_answer(429, {"code": -1003, "msg": "Too many"}, **{"Retry-After": "30"}) as url:
        http, ledger = client_of(url)
        with pytest.raises(VenueBusy) as caught:
            ask(http)
        assert caught.value.arrived is False
        assert len(ledger.told) == 1
        assert 25 < ledger.told[0][0].timestamp() - time.time() <= 30


def test_where_nobody_listens_nothing_arrived_and_where_somebody_hangs_up_nobody_knows(library):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    http, _ = client_of(f"http://127.0.0.1:{port}")
    with pytest.raises(VenueDown) as caught:
        ask(http, "POST")
    assert caught.value.arrived is False
    with socket.create_server(("127.0.0.1", 0)) as listening:
        http, _ = client_of(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def hang_up():
            connection, _ = listening.accept()
            connection.recv(10)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(VenueDown) as caught:
            ask(http, "POST")
        thread.join(5)
    assert caught.value.arrived is None


def test_a_redirect_is_not_followed_since_that_would_send_twice(library):
    with the_answer(200, {"orderId": 1}) as other, the_answer(307, "", Location=f"{other}/elsewhere") as url:
        http, _ = client_of(url)
        for method in ("GET", "POST"):
            with pytest.raises(VenueDown) as caught:
                ask(http, method)
            assert caught.value.arrived is None


@pytest.mark.parametrize(("status", "content"), [(200, []), (400, {"error": 1}), (500, "no"), (429, ""), (0, "")])
def test_neither_query_nor_secret_reaches_a_log_or_a_message(library, status, content, caplog):
    names = ("urllib3.connectionpool", "aster.rest_api", "aster", "")
    for name in names:
        caplog.set_level(logging.DEBUG, logger=name)
    told = ""
    with the_answer(status or 200, content) as url:
        http, _ = client_of(url if status else "http://127.0.0.1:1")
        try:
            ask(http)
        except (VenueDown, VenueBusy, VenueRefused) as error:
            told = f"{error} {error!r} {error.__cause__} {error.__suppress_context__}"
    assert "signature" not in caplog.text + told
    assert SECRET not in caplog.text + told
    assert KEY not in caplog.text + told
    assert SECRET not in repr(ConnectorWire("http://x", key=KEY, secret=SECRET))


# Whether it is there


def test_without_the_library_asking_for_it_needs_a_person_who_is_told_what_to_do():
    assert "set ASTERDEX_TRANSPORT=own" in connector_problem()
    with pytest.raises(NeedsOperator, match="aster-connector-python"):
        wire_for("connector", "http://x", key=KEY, secret=SECRET)


@pytest.mark.parametrize(
    "source", ["", "Client = 3", "class Client: pass", "import no_such_module_at_all", "raise ImportError('x')"]
)
def test_another_package_of_the_same_common_name_is_not_taken_for_it(tmp_path, monkeypatch, source):
    (tmp_path / "aster").mkdir()
    (tmp_path / "aster" / "__init__.py").write_text("")
    (tmp_path / "aster" / "rest_api.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "is installed, but it is not the connector" in connector_problem()
    with pytest.raises(NeedsOperator):
        wire_for("connector", "http://x", key=KEY, secret=SECRET)


def test_a_module_of_that_name_is_no_package_with_a_client(tmp_path, monkeypatch):
    (tmp_path / "aster.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "set ASTERDEX_TRANSPORT=own" in connector_problem()


@pytest.mark.parametrize(
    ("transport", "keys"),
    [("own", {"key": KEY, "secret": SECRET}), ("connector", {}), ("connector", {"key": KEY, "secret": ""})],
)
def test_our_own_carries_what_was_not_asked_for_and_what_has_no_key_and_secret(transport, keys):
    assert wire_for(transport, "http://x", **keys) is None


def test_with_the_library_there_is_no_problem(library):
    assert connector_problem() is None


def test_a_refused_order_says_why(house):
    with pytest.raises(Refused):
        house.exchange.place(order("BUY", quantity="900"))
