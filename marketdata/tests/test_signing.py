"""What is signed is what is sent, nobody else's key signs, and no secret can be read off anything."""

import hashlib
import hmac
import itertools
import pickle
import threading
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.aster.signing import NONCE_AHEAD, HmacSigner, LocalNonces, Signed, V3Signer
from vibex.lib.errors import NeedsOperator, Rejected

USER = "0x63DD5aCC6b1aa0f563956C0e534DD30B6dcF7C4e"
# The key that is the number one: its address is the most public of all.
KEY, SIGNER = "0" * 63 + "1", "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
API_KEY = "dbefbc809e3e83c283a984c3a1459732ea7db1360ca80c5c2c8867408d28cc83"
NOW = 1_750_147_220_000_000


def v3(nonces=None, **changed):
    parts = {"user": USER, "signer": SIGNER, "private_key": KEY, "chain_id": 1666, **changed}
    return V3Signer(**parts, nonces=nonces or LocalNonces(lambda: NOW))


def v1(**changed):
    return HmacSigner(**{"key": API_KEY, "secret": SECRET, "clock": lambda: 1_591_702_613_943, **changed})


def test_a_v3_request_carries_nonce_user_signer_and_last_the_signature():
    signed = v3().sign("GET", {"symbol": "BTCUSDT"})
    assert [name for name, _ in parse_qsl(signed.query)] == ["symbol", "nonce", "user", "signer", "signature"]
    assert dict(parse_qsl(signed.query))["nonce"] == str(signed.nonce) == str(NOW)
    assert (signed.body, dict(signed.headers)) == ("", {})


PARAMS = {"symbol": "BTCUSDT", "side": "BUY", "newClientOrderId": "vx:1/ü b"}
# Made with eth-account 0.13.7, not with our code; tests/test_signatures_agree.py makes them anew, and many more.
KNOWN = {
    1666: "0xa6b6bc4a6d4c2a0cfe0cf5890043f997e20f75b53f9c547e0364248289ae52d939c5f9474eb9b9cf81eb8dc80a100d3fdaf1c994d73cd4890b27d4e4eae513e71c",
    714: "0x60c5952b7006f1450de2117ee577d96368757ca099d117bc00104371dc1178ba37baa064e3744ec6c6a74cba4f378fb279107b778cdda93d05901eb609750a781c",
}


@pytest.mark.parametrize("chain", KNOWN)
def test_a_v3_signature_is_the_one_that_an_independent_implementation_makes(chain):
    signed = v3(chain_id=chain).sign("POST", PARAMS)
    assert signed.body.partition("&signature=")[2] == KNOWN[chain]


def test_a_v1_signature_is_that_of_the_documented_example_of_the_scheme():
    """The example of the Binance futures documents, whose scheme V1 is: parameters, key, secret and result."""
    sent = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
    pairs = dict(parse_qsl(sent))
    params = {name: value for name, value in pairs.items() if name not in ("recvWindow", "timestamp")}
    signed = v1().sign("POST", params)
    assert signed.body == f"{sent}&signature=3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    assert signed.headers["X-MBX-APIKEY"] == API_KEY


@pytest.mark.parametrize("signer", [v3(), v1()], ids=["V3", "V1"])
@pytest.mark.parametrize(
    ("method", "place"), [("GET", "query"), ("DELETE", "query"), ("POST", "body"), ("PUT", "body")]
)
def test_reading_and_cancelling_travel_in_the_query_and_placing_in_a_form(signer, method, place):
    signed = signer.sign(method, {})
    other = "body" if place == "query" else "query"
    assert getattr(signed, place)
    assert not getattr(signed, other)
    assert (signed.headers.get("Content-Type") == "application/x-www-form-urlencoded") == (place == "body")


names = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8).filter(lambda name: name not in ("nonce", "user"))
values = st.one_of(st.text(max_size=40), st.integers(-(10**20), 10**20))


@given(st.dictionaries(names, values, max_size=8).filter(lambda params: "signer" not in params))
def test_whatever_is_sent_is_read_back_as_it_was_meant(params):
    params = {name: value for name, value in params.items() if not _has_surrogates(value)}
    for signed in (v3().sign("GET", params), v1().sign("GET", params)):
        read = dict(parse_qsl(signed.query, keep_blank_values=True, strict_parsing=True))
        assert {name: read[name] for name in params} == {name: str(value) for name, value in params.items()}


def _has_surrogates(value):
    return any("\ud800" <= letter <= "\udfff" for letter in str(value))


@pytest.mark.parametrize("signer", [v3(), v1()], ids=["V3", "V1"])
@pytest.mark.parametrize("name", ["nonce", "user", "signer", "signature", "timestamp", "recvWindow"])
def test_nobody_but_the_signer_adds_what_proves_the_sender(signer, name):
    with pytest.raises(ValueError, match=name):
        signer.sign("POST", {name: "1"})


def test_a_key_is_taken_with_and_without_0x_and_in_any_case():
    key = "C" * 64
    made = {V3Signer(user=USER, signer=address_of(key), private_key=text, chain_id=714, nonces=LocalNonces()).signer
            for text in (key, key.lower(), f"0x{key}")}  # fmt: skip
    assert made == {address_of(key)}


def address_of(key):
    with pytest.raises(Rejected) as refused:
        v3(private_key=key)
    return str(refused.value).partition("but to ")[2][:42]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"private_key": "2" * 64}, "does not belong to the signer 0x7E5F"),
        ({"private_key": "f" * 64}, "out of the range"),
        ({"private_key": "0" * 64}, "out of the range"),
        ({"private_key": "1"}, "64 hexadecimal digits"),
        ({"private_key": KEY + "\n"}, "64 hexadecimal digits"),
        ({"private_key": ""}, "64 hexadecimal digits"),
        ({"user": "63DD5aCC6b1aa0f563956C0e534DD30B6dcF7C4e"}, "user"),
        ({"user": USER + "0"}, "user"),
        ({"signer": "0x" + "g" * 40}, "signer"),
    ],
)
def test_credentials_that_cannot_be_right_are_refused_at_once_without_being_shown(changed, told):
    with pytest.raises(Rejected, match=told) as refused:
        v3(**changed)
    key = changed.get("private_key", KEY)
    assert len(key) < 2 or key not in str(refused.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": ""},
        {"secret": ""},
        {"key": "a\r\nb"},
        {"secret": "two words"},
        {"recv_window": 0},
        {"recv_window": 60_001},
    ],
)
def test_a_key_or_secret_that_cannot_be_one_is_refused(changed):
    with pytest.raises(Rejected):
        v1(**changed)


@pytest.mark.parametrize("signer", [v3(), v1()], ids=["V3", "V1"])
def test_no_secret_stands_in_a_repr_and_nothing_is_pickled(signer):
    signed = signer.sign("POST", {"symbol": "BTCUSDT"})
    signature = signed.body.partition("&signature=")[2]
    for text in (repr(signer), str(signer), signer.user, repr(signed), str(signed), repr([signed]), f"{signed}"):
        for secret in (KEY, SECRET, API_KEY, signature):
            assert secret not in text
    for thing in (signer, signed):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_a_signed_request_says_which_nonce_it_has():
    assert isinstance(v3().sign("POST", {}), Signed)
    assert v3().sign("POST", {}).nonce == NOW
    assert v1().sign("POST", {}).nonce is None


def test_nonces_follow_the_clock_and_rise_even_where_it_stands_or_steps_back():
    moments = iter([NOW, NOW, NOW - 1_000_000, NOW + 10])
    nonces = LocalNonces(lambda: next(moments))
    assert [nonces.next("a") for _ in range(4)] == [NOW, NOW + 1, NOW + 2, NOW + 10]


def test_a_clock_put_back_by_more_than_the_venue_bears_is_told_instead_of_a_useless_nonce():
    moments = iter([NOW, NOW - NONCE_AHEAD, NOW])
    nonces = LocalNonces(lambda: next(moments))
    nonces.next("0xabc")
    with pytest.raises(NeedsOperator, match=r"0xabc is 5\.0 s ahead of the clock"):
        nonces.next("0xabc")
    assert nonces.next("0xabc") == NOW + 1


def test_threads_of_one_signer_never_share_a_nonce():
    signer, taken, start = v3(), [], threading.Barrier(4)

    def work():
        start.wait(10)
        taken.extend(signer.sign("GET", {}).nonce for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(taken) == list(range(NOW, NOW + 200))


def test_one_signer_is_one_count_however_its_address_is_written():
    nonces = LocalNonces(lambda: NOW)
    upper, lower = v3(nonces), v3(nonces, signer=SIGNER.lower())
    taken = [signer.sign("GET", {}).nonce for signer in (upper, lower)]
    assert all(a < b for a, b in itertools.pairwise(taken))


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), st.integers(0, 2**43))
def test_v1_signs_query_and_body_as_one_text_without_anything_between(value, at):
    signed = v1(clock=lambda: at).sign("GET", {"a": value})
    sent, _, signature = signed.query.rpartition("&signature=")
    assert signature == hmac.new(SECRET.encode(), (sent + signed.body).encode(), hashlib.sha256).hexdigest()
