"""The test exchange lets in who has signed what was sent, and nobody else."""

import time
from urllib.parse import urlencode

import pytest

from trading.exchange_server.accounts import TestAccount
from trading.exchange_server.auth import TESTNET, new_agent, new_key
from trading.tests.signed_kit import Trader, exchange_with, newcomer, nonce, typed_data
from vibex.lib.errors import Rejected

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def exchange():
    with exchange_with(("BTCUSDT",)) as served:
        yield served


@pytest.fixture
def trader(exchange):
    return newcomer(exchange)


@pytest.fixture
def old(exchange):
    return newcomer(exchange, 1)


@pytest.fixture
def still(exchange):
    """The wall clock of the exchange stands."""
    gate = exchange.server.signed.gate
    before, gate.wall = gate.wall, lambda: NOW
    yield gate
    gate.wall = before


def refused(answer):
    assert answer.status >= 400, answer
    return answer.status, answer.body["code"]


@pytest.mark.parametrize("version", [3, 1])
@pytest.mark.parametrize("in_query", [True, False])
def test_a_signature_counts_in_the_query_and_in_the_body(exchange, version, in_query):
    trader = newcomer(exchange, version)
    given = urlencode({"symbol": "BTCUSDT", "leverage": 7})
    answer = trader.raw("POST", "leverage", trader.sign(given), in_query=in_query)
    assert answer.body == {"leverage": 7, "maxNotionalValue": "20000000", "symbol": "BTCUSDT"}


@pytest.mark.parametrize("version", [3, 1])
def test_a_changed_request_is_refused(exchange, version):
    trader = newcomer(exchange, version)
    signed = trader.sign(urlencode({"symbol": "BTCUSDT", "leverage": 7}))
    assert refused(trader.raw("POST", "leverage", signed.replace("leverage=7", "leverage=70"))) == (400, -1022)
    assert refused(trader.raw("POST", "leverage", signed + "&leverage=70")) == (400, -1101)
    assert refused(trader.raw("POST", "leverage", signed + "&recvWindow=70")) == (400, -1022)


@pytest.mark.parametrize("version", [3, 1])
def test_the_escaping_that_was_sent_is_what_was_signed(exchange, version):
    trader = newcomer(exchange, version)
    plain = "symbol=BTCUSDT&origClientOrderId=a/b"
    escaped = "symbol=BTCUSDT&origClientOrderId=a%2Fb"
    assert refused(trader.raw("GET", "order", trader.sign(escaped))) == (400, -2013)
    assert refused(trader.raw("GET", "order", trader.sign(plain).replace("a/b", "a%2Fb"))) == (400, -1022)


def test_an_hmac_covers_query_and_body_with_nothing_between_them(old):
    import hashlib
    import hmac

    import httpx2

    query, body = "symbol=BTCUSDT", f"leverage=9&timestamp={int(time.time() * 1000)}"
    signature = hmac.new(old.key.secret.encode(), (query + body).encode(), hashlib.sha256).hexdigest().upper()
    url = f"{old.exchange.http}/fapi/v1/leverage?{query}"
    headers = {"X-MBX-APIKEY": old.key.key, "Content-Type": "application/x-www-form-urlencoded"}
    answer = httpx2.post(url, content=f"{body}&signature={signature}", headers=headers)
    assert answer.json()["leverage"] == 9


def test_only_the_agent_that_signed_is_who_it_says(trader):
    stranger = new_agent()
    message = f"nonce={nonce()}&user={trader.user}&signer={trader.agent.address}"
    signed = f"{message}&signature={typed_data(message, key=stranger.private_key)}"
    assert refused(trader.raw("GET", "balance", signed)) == (400, -1022)


@pytest.mark.parametrize("signature", ["", "0x", "nonsense", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "11" * 64])
def test_what_is_no_signature_is_refused(trader, signature):
    message = f"nonce={nonce()}&user={trader.user}&signer={trader.agent.address}"
    wanted = (400, -1022) if signature else (400, -1102)
    assert refused(trader.raw("GET", "balance", f"{message}&signature={signature}")) == wanted


def test_an_agent_that_nobody_approved_is_not_found(exchange, trader):
    stranger = Trader(exchange, 3, trader.user, new_agent())
    assert stranger.code("GET", "balance") == -1000
    assert stranger.get("balance").body["msg"] == "No agent found"
    trader.user = "0x" + "00" * 20
    assert trader.code("GET", "balance") == -1000


def test_an_agent_that_is_dismissed_is_not_found_any_more(exchange, trader):
    assert trader.get("balance").status == 200
    exchange.control.dismiss_agent(trader.agent.address)
    assert trader.code("GET", "balance") == -1000


def test_the_chain_id_is_part_of_what_is_signed(trader):
    trader.chain_id = TESTNET
    assert trader.code("GET", "balance") == -1022
    with exchange_with(("BTCUSDT",), chain_id=TESTNET) as testnet:
        assert newcomer(testnet).get("balance").status == 200


def test_the_case_of_addresses_and_the_user_do_not_matter(trader):
    message = f"nonce={nonce()}&signer={trader.agent.address.upper().replace('0X', '0x')}"
    signature = typed_data(message, key=trader.agent.private_key)
    assert trader.raw("GET", "balance", f"{message}&signature={signature}").status == 200


@pytest.mark.parametrize(("seconds", "code"), [(-10, None), (-10.001, -4225), (10, None), (10.001, -4225)])
def test_a_nonce_lies_within_ten_seconds_of_the_clock(trader, still, seconds, code):
    answer = trader.raw("GET", "balance", trader.sign("", stamp=round((NOW + seconds) * 1e6)))
    assert (answer.status, answer.body["code"] if code else None) == ((400, code) if code else (200, None))


def test_the_nonce_window_can_be_set(exchange, trader, still):
    exchange.control.set_nonce_window(60)
    assert trader.raw("GET", "balance", trader.sign("", stamp=round((NOW - 59) * 1e6))).status == 200
    exchange.control.set_nonce_window(10)


def test_a_nonce_is_good_once(trader):
    signed = trader.sign("")
    assert trader.raw("GET", "balance", signed).status == 200
    assert refused(trader.raw("GET", "balance", signed)) == (400, -4225)


def test_of_a_hundred_nonces_the_smallest_one_is_the_limit(trader, still):
    base = round(NOW * 1e6)
    for number in range(100):
        assert trader.raw("GET", "balance", trader.sign("", stamp=base + number * 2)).status == 200
    assert trader.raw("GET", "balance", trader.sign("", stamp=base + 1)).status == 200
    assert refused(trader.raw("GET", "balance", trader.sign("", stamp=base + 1))) == (400, -4225)
    assert refused(trader.raw("GET", "balance", trader.sign("", stamp=base - 1))) == (400, -4225)


def test_a_request_that_was_not_signed_well_uses_no_nonce_up(trader):
    stamp = nonce()
    signed = trader.sign("", stamp=stamp)
    other = "1" if signed[-20] == "0" else "0"  # always another digit: zeros alone may be what stands there already
    assert refused(trader.raw("GET", "balance", f"{signed[:-20]}{other}{signed[-19:]}")) == (400, -1022)
    assert trader.raw("GET", "balance", signed).status == 200


def test_a_noop_voids_the_request_with_its_nonce_that_comes_later(trader):
    stamp = nonce()
    assert trader.raw("POST", "noop", trader.sign("", stamp=stamp)).body == {"code": 200, "msg": "success"}
    order = urlencode({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"})
    assert refused(trader.raw("POST", "order", trader.sign(order, stamp=stamp))) == (400, -4225)
    assert trader.truth().orders == ()


@pytest.mark.parametrize(
    ("seconds", "window", "code"),
    [(0.999, None, None), (1.0, None, -1021), (-5, None, None), (-5.001, None, -1021),
     (-60, 60_000, None), (-60.001, 60_000, -1021), (0, 60_001, -1130)],
)  # fmt: skip
def test_a_timestamp_lies_within_the_window(old, still, seconds, window, code):
    given = "" if window is None else f"recvWindow={window}"
    answer = old.raw("GET", "balance", old.sign(given, stamp=round((NOW + seconds) * 1000)))
    assert (answer.status, answer.body["code"] if code else None) == ((400, code) if code else (200, None))


def test_who_signs_by_the_time_of_the_exchange_is_right_too(old):
    at = old.exchange.server.markets.now_ms()
    assert abs(at / 1000 - time.time()) > 86_400
    assert old.raw("GET", "balance", old.sign("", stamp=at)).status == 200


def test_keys_that_are_not_known_or_not_there(exchange, old):
    assert refused(Trader(exchange, 1, old.user, key=new_key()).get("balance")) == (401, -2015)
    from trading.tests.exchange_kit import ask

    answer = ask(exchange, "balance")
    assert (answer.status, answer.body["code"]) == (401, -2014)
    assert old.raw("GET", "balance", "signature=00").body["code"] == -1102
    assert old.raw("GET", "balance", f"timestamp={int(time.time() * 1000)}").body["code"] == -1102


def test_a_v1_key_alone_is_enough_for_a_listen_key(old):
    answer = old.raw("POST", "listenKey", "")
    assert len(answer.body["listenKey"]) == 64
    assert old.raw("PUT", "listenKey", "").body == {}
    assert refused(old.raw("GET", "openOrders", "")) == (400, -1102)


def test_a_v3_listen_key_has_to_be_signed(trader):
    assert refused(trader.raw("POST", "listenKey", f"signer={trader.agent.address}&nonce={nonce()}")) == (400, -1102)
    assert trader.post("listenKey").status == 200


def test_one_user_never_sees_another(exchange):
    first, second = newcomer(exchange), newcomer(exchange)
    first.buy("0.01", newClientOrderId="mine")
    assert second.told("GET", "openOrders") == []
    assert second.code("GET", "order", symbol="BTCUSDT", origClientOrderId="mine") == -2013
    assert second.truth().trades == ()


def test_a_user_has_one_account(exchange, trader):
    with pytest.raises(Rejected, match="already"):
        exchange.control.open_account(TestAccount(trader.user))
    with pytest.raises(Rejected, match="no account"):
        exchange.control.account("0xnobody")


def test_secrets_of_test_accounts_are_not_shown():
    agent, key = new_agent(), new_key()
    assert agent.private_key not in repr(agent)
    assert key.secret not in repr(TestAccount(keys=(key,)))
