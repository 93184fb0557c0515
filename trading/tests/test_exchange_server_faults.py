"""The test exchange counts weights, refuses those who ask too much, and fails in every way that is asked of it."""

import httpx2
import pytest

from trading.exchange_server.build import simulated_markets
from trading.exchange_server.clock import VirtualClock
from trading.exchange_server.server import serve_in_thread
from trading.exchange_server.weights import weight_of
from trading.tests.exchange_kit import SECONDS, START, ask, told
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.ci

NOW = 1_760_000_010.0
USED = "X-MBX-USED-WEIGHT-1M"


@pytest.fixture(scope="module")
def running():
    markets = simulated_markets(["BTCUSDT", "ETHUSDT"], start=START, history_days=1)
    markets.clock.stand()
    with serve_in_thread(markets, fault_seed=3) as served:
        served.server.ledger.wall = lambda: NOW  # no minute ends in the middle of a test
        yield served


@pytest.fixture
def exchange(running):
    running.control.clear()
    running.control.set_weight(limit=2400)
    running.control.log(clear=True)
    return running


@pytest.mark.parametrize(
    ("name", "given", "weight"),
    [
        ("ping", {}, 1),
        ("klines", {"limit": "99"}, 1),
        ("klines", {"limit": "100"}, 2),
        ("klines", {"limit": "499"}, 2),
        ("klines", {"limit": "500"}, 5),
        ("klines", {}, 5),
        ("klines", {"limit": "1000"}, 5),
        ("markPriceKlines", {"limit": "1500"}, 10),
        ("depth", {"limit": "50"}, 2),
        ("depth", {"limit": "100"}, 5),
        ("depth", {}, 10),
        ("depth", {"limit": "1000"}, 20),
        ("ticker/24hr", {"symbol": "BTCUSDT"}, 1),
        ("ticker/24hr", {}, 40),
        ("ticker/bookTicker", {}, 2),
        ("premiumIndex", {}, 10),
        ("aggTrades", {}, 20),
        ("klines", {"limit": "not a number"}, 5),
    ],
)
def test_requests_weigh_what_the_venue_says(name, given, weight):
    assert weight_of(name, given) == weight


def test_every_answer_tells_the_weight_that_was_used_refusals_too(exchange):
    assert ask(exchange, "ping").headers[USED] == "1"
    assert ask(exchange, "klines", symbol="BTCUSDT", interval="1m", limit=1500).headers[USED] == "11"
    assert ask(exchange, "klines", symbol="NOPE", interval="1m").headers[USED] == "16"
    assert ask(exchange, "nowhere").headers[USED] == "17"


def test_who_uses_too_much_is_refused_and_who_goes_on_is_banned(exchange):
    exchange.control.set_weight(limit=5)
    assert [ask(exchange, "ping").status for _ in range(5)] == [200] * 5
    refused = ask(exchange, "ping")
    assert (refused.status, refused.body["code"]) == (429, -1003)
    assert refused.headers["Retry-After"] == str(60 - int(NOW) % 60)
    assert "limit" in refused.body["msg"]
    statuses = [ask(exchange, "ping").status for _ in range(exchange.server.ledger.patience + 1)]
    assert statuses[-2:] == [418, 418]
    banned = ask(exchange, "time")
    until = int(banned.body["msg"].split("banned until ")[1].split(".")[0])
    assert banned.body["code"] == -1003
    assert until / 1000 == NOW + exchange.server.ledger.ban_seconds
    exchange.control.clear()
    exchange.control.set_weight(limit=2400)
    assert ask(exchange, "ping").status == 200


def test_a_limit_that_was_set_is_told_by_exchange_info(exchange):
    exchange.control.set_weight(limit=777)
    limits = told(exchange, "exchangeInfo")["rateLimits"]
    assert [one["limit"] for one in limits if one["rateLimitType"] == "REQUEST_WEIGHT"] == [777]


@pytest.mark.parametrize(("kind", "status", "code"), [("429", 429, -1003), ("418", 418, -1003), ("-1001", 500, -1001)])
def test_faults_with_a_code(exchange, kind, status, code):
    exchange.control.fault(kind, path="*/klines", count=1)
    assert ask(exchange, "time").status == 200, "another path is not struck"
    struck = ask(exchange, "klines", symbol="BTCUSDT", interval="1m")
    assert (struck.status, struck.body["code"]) == (status, code)
    exchange.server.ledger.clear()
    assert ask(exchange, "klines", symbol="BTCUSDT", interval="1m").status == 200, "it struck once"


@pytest.mark.parametrize(
    ("kind", "status"), [("403", 403), ("404", 404), ("500", 500), ("503", 503), ("200-html", 200)]
)
def test_faults_with_a_page_where_json_should_be(exchange, kind, status):
    exchange.control.fault(kind, count=1)
    struck = ask(exchange, "time")
    assert struck.status == status
    assert struck.body.startswith("<html>")


def test_a_429_can_be_empty_and_say_nothing_of_when_to_come_back(exchange):
    exchange.control.fault("429-empty", count=1)
    struck = ask(exchange, "time")
    assert (struck.status, struck.body) == (429, "")
    assert "Retry-After" not in struck.headers


def test_an_answer_can_be_late_or_never_come(exchange):
    exchange.control.fault("delay", count=1, seconds=30)
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{exchange.http}/fapi/v3/time", timeout=0.2)
    exchange.control.fault("drop", count=1)
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{exchange.http}/fapi/v3/time", timeout=SECONDS)
    assert ask(exchange, "time").status == 200


def test_a_candle_can_be_broken_once(exchange):
    asked = {"symbol": "BTCUSDT", "interval": "1m", "limit": 3}
    exchange.control.fault("corrupt", path="*/klines", count=1)
    broken, sound = told(exchange, "klines", **asked), told(exchange, "klines", **asked)
    assert [place for place in range(3) if broken[place] != sound[place]] == [1], "the last closed one"
    assert float(broken[1][2]) < float(broken[1][3])


def test_chances_are_the_same_for_the_same_seed():
    def struck():
        markets = simulated_markets(["BTCUSDT"], start=START, history_days=0)
        with serve_in_thread(markets, fault_seed=11) as served:
            served.control.fault("503", probability=0.5)
            return [ask(served, "ping").status for _ in range(12)]

    first = struck()
    assert set(first) == {200, 503}
    assert struck() == first


@pytest.mark.parametrize(
    "wrong", [{"kind": "nope"}, {"kind": "503", "probability": 2}, {"kind": "delay", "seconds": -1}]
)
def test_a_fault_that_cannot_be_is_refused(exchange, wrong):
    with pytest.raises(Rejected):
        exchange.control.fault(**wrong)
    assert httpx2.post(f"{exchange.http}/_sim/fault", json=wrong).status_code == 400


def test_the_control_is_there_over_http(exchange):
    def post(name, **body):
        return httpx2.post(f"{exchange.http}/_sim/{name}", json=body, timeout=SECONDS)

    now = exchange.control.state()["now_ms"]
    assert post("clock", step=90).json()["now_ms"] == now + 90_000
    assert post("clock", at="2025-10-10T11:00").status_code == 400, "never back"
    assert post("price", symbol="ETHUSDT", last=4000.02, mark=4001).json() == {
        "symbol": "ETHUSDT",
        "last": 4000.0,
        "mark": pytest.approx(4001),
    }
    assert post("price", symbol="NOPE", last=1).status_code == 400
    assert post("price", symbol="ETHUSDT", last=-1).status_code == 400
    assert post("price", symbol="ETHUSDT", lost=1).status_code == 400
    assert post("nope").status_code == 400
    assert httpx2.post(f"{exchange.http}/_sim/price", content="{").status_code == 400
    assert post("fault", kind="503", path="*/time", count=2).status_code == 200
    assert ask(exchange, "time").status == 503
    state = httpx2.get(f"{exchange.http}/_sim/state").json()
    assert state["faults"]["rest"][0] | {"since": 0} == {
        "kind": "503", "path": "*/time", "count": 2, "probability": 1.0, "seconds": 0.0, "after": 1, "struck": 1, "since": 0,
        "method": "*", "form": {}, "skip": 0, "code": -9999,
    }  # fmt: skip
    assert post("clear").status_code == 200
    assert ask(exchange, "time").status == 200
    log = httpx2.get(f"{exchange.http}/_sim/log").json()
    assert [(one["path"], one["status"], one["weight"]) for one in log] == [
        ("/fapi/v3/time", 503, 1),
        ("/fapi/v3/time", 200, 1),
    ]


def test_a_price_that_is_set_moves_everything_and_all_that_follows(exchange):
    control = exchange.control
    before = told(exchange, "klines", symbol="BTCUSDT", interval="1m", limit=5)
    control.set_price("BTCUSDT", last=50_000)
    assert told(exchange, "ticker/price", symbol="BTCUSDT")["price"] == "50000.0"
    assert float(told(exchange, "ticker/bookTicker", symbol="BTCUSDT")["askPrice"]) == pytest.approx(50_000, rel=0.001)
    assert float(told(exchange, "premiumIndex", symbol="BTCUSDT")["markPrice"]) == pytest.approx(50_000, rel=0.001)
    running = told(exchange, "klines", symbol="BTCUSDT", interval="1m", limit=5)
    assert running[:4] == before[:4], "what was closed stays"
    assert (running[4][1], running[4][3], running[4][4]) == (before[4][1], "50000.0", "50000.0")
    control.step(3600)
    after = told(exchange, "klines", symbol="BTCUSDT", interval="1m", limit=61)
    assert [row[4] for row in after if row[0] == running[4][0]] == ["50000.0"], "it closed where it was set"
    assert all(float(row[1]) == pytest.approx(50_000, rel=0.1) for row in after[1:])
    assert all(float(row[3]) <= float(row[1]) <= float(row[2]) for row in after)
    hour = told(exchange, "klines", symbol="BTCUSDT", interval="1h", limit=2)[0]
    assert float(hour[3]) <= 50_000


def test_the_clock_runs_at_its_speed_stands_and_steps():
    seconds = [100.0]
    clock = VirtualClock(1_000_000, speed=20, ends_at=2_000_000, wall=lambda: seconds[0])
    seconds[0] += 1.5
    assert clock.now_ms() == 1_030_000
    clock.stand()
    seconds[0] += 60
    assert (clock.now_ms(), clock.speed) == (1_030_000, 0)
    clock.step(500)
    assert clock.now_ms() == 1_030_500
    with pytest.raises(Rejected):
        clock.set(1_030_499)
    clock.go(2)
    seconds[0] += 1
    assert (clock.now_ms(), clock.speed) == (1_032_500, 2)
    seconds[0] += 100_000
    assert clock.now_ms() == 2_000_000, "the end of the recording"


def test_two_exchanges_do_not_share_a_port(exchange):
    port = int(exchange.http.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="address"), serve_in_thread(simulated_markets(["BTCUSDT"]), port=port):
        pass


def order(exchange, **form):
    """POST an order that nobody signed and return the code of the refusal."""
    return httpx2.post(f"{exchange.http}/fapi/v3/order", data=form, timeout=SECONDS).json()["code"]


def test_a_fault_strikes_only_requests_with_its_parameters_in_body_or_query(exchange):
    exchange.control.fault("refuse", path="*/order", method="POST", form={"type": "STOP_MARKET"}, count=1)
    unsigned = order(exchange, type="LIMIT")
    assert unsigned != -9999
    assert order(exchange, symbol="BTCUSDT", type="STOP_MARKET") == -9999
    assert order(exchange, symbol="BTCUSDT", type="STOP_MARKET") == unsigned
    exchange.control.fault("refuse", form={"symbol": "ETHUSDT"}, code=-4242)
    told(exchange, "premiumIndex", symbol="BTCUSDT")
    refused = ask(exchange, "premiumIndex", symbol="ETHUSDT")
    assert (refused.status, refused.body["code"]) == (400, -4242)


def test_a_fault_lets_pass_as_many_as_it_is_told_to(exchange):
    exchange.control.fault("503", path="*/ping", skip=2, count=1)
    assert ask(exchange, "time").status == 200
    assert [ask(exchange, "ping").status for _ in range(5)] == [200, 200, 503, 200, 200]
    with pytest.raises(Rejected):
        exchange.control.fault("503", skip=-1)
