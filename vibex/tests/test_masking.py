"""No secret that is put anywhere into a log call comes out in the line."""

import base64
import io
import json
import logging
import re
import string
import time

import pytest
import structlog
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from vibex.lib import masking
from vibex.lib.logging import MaskArguments, bound, formatter
from vibex.lib.masking import MASK, mask_text, mask_value, register_secret, register_url

PLACEHOLDER = "placeholder"
WORDS = [
    "abandon",
    "ability",
    "able",
    "about",
    "above",
    "absent",
    "absorb",
    "abstract",
    "absurd",
    "abuse",
    "access",
    "accident",
    "account",
    "accuse",
    "achieve",
    "acid",
    "acoustic",
    "acquire",
    "across",
    "act",
    "action",
    "actor",
    "actress",
    "actual",
    "adapt",
    "add",
    "addict",
    "address",
    "adjust",
    "admit",
    "adult",
    "advance",
]

anything = st.text(
    st.characters(codec="utf-8", exclude_characters="*", exclude_categories=["Cs", "Cc"]), min_size=6, max_size=60
).filter(lambda value: len(value.strip()) >= 6)
token = st.text(string.ascii_letters + string.digits + "-_", min_size=16, max_size=60)
hexes = st.text("0123456789abcdefABCDEF", min_size=64, max_size=64)
phrase = st.sampled_from([12, 24]).flatmap(
    lambda count: st.lists(st.sampled_from(WORDS), min_size=count, max_size=count)
)
base64s = st.binary(min_size=48, max_size=200).map(lambda raw: base64.encodebytes(raw).decode())
names = st.sampled_from(
    [
        "password",
        "PASSWORD",
        "db_password",
        "secret",
        "client-secret",
        "api_key",
        "apiKey",
        "x-api-key",
        "access_token",
        "refreshToken",
        "csrftoken",
        "private_key",
        "signing_key",
        "passphrase",
        "mnemonic",
        "seed_phrase",
        "authorization",
        "cookie",
        "signature",
        "credentials",
        "key",
    ]
)


@pytest.fixture(autouse=True)
def _no_secret_of_other_tests(monkeypatch):
    monkeypatch.setattr(masking, "_registered", masking._Registered())


@pytest.fixture
def lines():
    """Give two loggers, the library's and structlog's, and what they wrote."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    handler.addFilter(MaskArguments())
    logger = logging.getLogger("vibex.tests.masking")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)


def places(secret):
    """Every way in which a secret may get into a log call; each takes a standard and a structlog logger."""

    def raised(value):
        try:
            try:
                raise KeyError(value)
            except KeyError as error:
                raise RuntimeError(f"call failed: {value}") from error
        except RuntimeError as error:
            return error

    return [
        lambda log, _: log.info(secret),
        lambda log, _: log.info("sent %s", secret),
        lambda log, _: log.info("sent %r", secret),
        lambda log, _: log.info("sent %s", {"deep": [{"er": (secret, 1)}]}),
        lambda log, _: log.info("sent %(what)s", {"what": secret}),
        lambda log, _: log.info("sent %d", secret),
        lambda log, _: log.info("sent %s and %s", secret),  # noqa: PLE1206
        lambda log, _: log.info("sent", extra={"data": {"list": [secret, {"set": {secret}}]}}),
        lambda log, _: log.info("sent", extra={"data": {secret: 1}}),
        lambda log, _: log.info("sent", extra={"data": secret.encode()}),
        lambda log, _: log.error("failed", exc_info=raised(secret)),
        lambda log, _: log.info("raw %s", json.dumps({"inner": secret})),
        lambda _, log: log.info(secret),
        lambda _, log: log.info("sent %s", secret),
        lambda _, log: log.info("sent", what=secret, deep={"list": [secret]}),
        lambda _, log: log.error("failed", exc_info=raised(secret)),
    ]


def written(lines, say):
    logger, stream = lines
    stream.seek(0)
    stream.truncate()
    say(logger, structlog.wrap_logger(logger, wrapper_class=structlog.stdlib.BoundLogger, processors=PROCESSORS))
    line = stream.getvalue()
    assert line.count("\n") == 1, "one call, one line"
    return json.loads(line) and line


PROCESSORS = [
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


def shows(line, secret):
    """Tell whether the line holds the secret, as it is or in the spelling of a JSON string or a repr."""
    return any(spelling in line for spelling in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]))


def assert_hidden(lines, secret):
    for number, say in enumerate(places(secret)):
        line = written(lines, say)
        assert not shows(line, secret), f"place {number}: {line}"


many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(secret=anything)
def test_a_registered_secret_never_comes_out(lines, secret):
    # A secret that is part of every line anyway ("vibex.", "000000") would prove nothing.
    assume(not any(shows(written(lines, say), secret) for say in places(PLACEHOLDER)))
    register_secret(secret)
    with bound(request_id=secret):
        assert_hidden(lines, secret)


@many
@given(secret=token.map("sk-{}".format) | token.map("sk-or-v1-{}".format) | token.map("rk_live_{}".format))
def test_a_model_key_never_comes_out(lines, secret):
    assert_hidden(lines, secret)


@many
@given(secret=hexes, prefix=st.sampled_from(["", "0x"]))
def test_a_private_key_in_hex_never_comes_out(lines, secret, prefix):
    assert_hidden(lines, prefix + secret)
    assert secret not in mask_text(f"signed with {prefix}{secret}.")


@many
@given(body=base64s, kind=st.sampled_from(["", "RSA ", "EC ", "ENCRYPTED "]))
def test_a_private_key_in_pem_never_comes_out(lines, body, kind):
    pem = f"-----BEGIN {kind}PRIVATE KEY-----\n{body}-----END {kind}PRIVATE KEY-----"
    for say in places(pem):
        line = written(lines, say)
        assert not any(part in line for part in body.split("\n") if len(part) > 8)


@many
@given(words=phrase, lead=st.sampled_from(["mnemonic: ", "seed phrase is ", "MNEMONIC=", "recovery words: "]))
def test_a_mnemonic_never_comes_out(lines, words, lead):
    secret = " ".join(words)
    for say in places(lead + secret):
        assert secret not in written(lines, say)
    assert not set(words) & set(mask_text(f"mnemonic: {words!r}").split())
    assert mask_value({"note": secret}) == {"note": MASK}
    assert "abandon" not in json.dumps(mask_value({"mnemonic": ["abandon", *words]}))


@many
@given(secret=anything, name=names)
def test_a_value_under_a_secret_name_never_comes_out(lines, secret, name):
    # A value that every line holds anyway ("sent", "failed", "vibex.") would prove nothing.
    assume(not any(shows(written(lines, say), secret) for say in under(name, PLACEHOLDER)))
    for say in under(name, secret):
        assert not shows(written(lines, say), secret)


def under(name, secret):
    """Every way in which a value under a secret name may get into a log call."""
    nested = {"outer": [{name: secret}]}
    return (
        lambda log, _: log.info("sent %s", nested),
        lambda log, _: log.info("sent %s", json.dumps(nested)),
        lambda log, _: log.info("sent %s", json.dumps({"body": json.dumps(nested)})),
        lambda log, _: log.info("sent", extra={"data": nested}),
        lambda log, _: log.info("sent", extra={"data": {name: {"a": [secret]}}}),
        lambda _, log: log.info("sent", data=nested),
        lambda log, _: log.error("failed", exc_info=ValueError(nested)),
    )


@many
@given(secret=token, name=names.filter(lambda name: name != "key"), sign=st.sampled_from(["=", ": ", " = ", ":", "=>"]))
def test_a_value_after_a_secret_name_in_text_never_comes_out(lines, secret, name, sign):
    assume(secret not in name)
    for say in places(f"got {name}{sign}{secret} from it"):
        assert secret not in written(lines, say)


@many
@given(secret=token, kind=st.sampled_from(["Bearer", "bearer", "Authorization: Bearer", "Authorization: Basic"]))
def test_an_authorization_header_never_comes_out(lines, secret, kind):
    for say in places(f"{kind} {secret}"):
        assert secret not in written(lines, say)


@many
@given(
    user=st.text(string.ascii_letters, max_size=8),
    secret=st.text(string.ascii_letters + string.digits + "-_.!/~%#", min_size=8, max_size=30),
    scheme=st.sampled_from(["postgres", "redis", "https", "postgresql+psycopg"]),
)
def test_the_password_of_a_url_never_comes_out(lines, user, secret, scheme):
    assume(not any(secret in written(lines, say) for say in places(PLACEHOLDER)))
    for say in places(f"{scheme}://{user}:{secret}@db.example.com:5432/vibex"):
        line = written(lines, say)
        assert f":{secret}@" not in line
        assert secret not in line


@given(secret=st.text(string.printable, min_size=8, max_size=30).filter(lambda text: text.strip() == text))
def test_a_registered_url_hides_its_password_alone_too(secret):
    from urllib.parse import quote

    masking._registered = masking._Registered()
    register_url(f"redis://user:{quote(secret, safe='')}@host/0")
    assert secret not in mask_text(f"the password {secret} was refused") or "*" in secret


@pytest.mark.parametrize(
    "text",
    [
        "order vx1a2b accepted: BTCUSDT 0.010 at 64000.5",
        "cycle 12 took 31 ms",
        "prompt_tokens=1200 completion_tokens=88",
        "https://example.com:8080/path?page=2",
        "the key levels are 64000 and 65000",
        "a stop of the position was moved up by the guard because the price went far enough",
    ],
)
def test_what_is_no_secret_stays_readable(text):
    assert mask_text(text) == text


def test_counts_of_tokens_and_the_seed_of_the_market_stay():
    usage = {"prompt_tokens": 1200, "tokens": {"total": 7}, "seed": 42, "cost": 0.25, "ok": True, "none": None}
    assert mask_value(usage) == usage


def test_odd_values_become_plain_data():
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    endless: list = []
    endless.append(endless)
    masked = mask_value({"broken": Broken(), "endless": endless, "nan": float("nan"), 5: b"raw"})
    assert json.loads(json.dumps(masked, allow_nan=False))["nan"] == "nan"
    assert masked["5"] == "raw"


def test_a_line_with_wrong_arguments_is_still_a_line(lines):
    assert "sent" in written(lines, lambda log, _: log.info("sent %d %d", "one"))  # noqa: PLE1206


@pytest.mark.parametrize(
    "part", ["secret", "a-", "://a:", "token=", "\\", "seed ", "'", "-----BEGIN PRIVATE KEY-----", "sk-"]
)
def test_hostile_text_costs_no_more_than_its_length(part):
    """Quadratic patterns took a minute for this; linear ones take a few milliseconds."""
    started = time.process_time()
    mask_text(part * (100_000 // len(part)))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_key_in_json_inside_json_is_masked(depth: int) -> None:
    text = {"key": "000000"}
    for _ in range(depth):
        text = json.dumps(text)
    assert "000000" not in mask_text(f"sent {text}")


def test_what_opens_calls_and_streams_never_comes_out(lines):
    key, jwt = (
        "vbx_abcdefgh_" + "Ab3-_" * 8 + "xyz",
        "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoi.KhCDrFihEvBX8GadUTr9x2v",
    )
    for say in places(f"GET /ws/positions/?ticket=8wmoF8yqCrEdgdo5&x=1 {key} {jwt} /password/reset/MQ/c1-abcdef0123/"):
        line = written(lines, say)
        assert not any(secret in line for secret in (key[-20:], jwt[-20:], "8wmoF8yqCrEdgdo5", "c1-abcdef0123"))
    assert mask_text(f"by key {key}") == f"by key vbx_abcdefgh_{MASK}"
    assert mask_text("by key vbx_abcdefgh") == "by key vbx_abcdefgh"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    secrets=st.lists(st.text("ab]^-\\é", min_size=6, max_size=9), min_size=1, max_size=8),
    text=st.text("ab]^-\\é ", max_size=60),
    data=st.data(),
)
def test_of_many_secrets_each_goes_and_of_those_that_begin_alike_the_longest(secrets, text, data):
    registered = masking._Registered()
    for secret in secrets:
        registered.add(secret)
    spellings = sorted({one for known in registered._by_start.values() for one in known}, key=len, reverse=True)
    assert set(secrets) <= set(spellings)
    for secret in secrets:
        place = data.draw(st.integers(0, len(text)))
        text = text[:place] + secret + text[place:]
    plain = re.compile("|".join(map(re.escape, spellings)))
    assert registered.mask(text) == plain.sub(masking.MASK, text)


def test_secrets_of_thousands_of_accounts_are_masked():
    secrets = [f"{number:05}".translate(str.maketrans("0123456789", "qwertzuiop")) * 4 for number in range(5_000)]
    for secret in secrets:
        register_secret(secret)
    assert mask_text(f"a {secrets[0]}, {secrets[4_999]}{secrets[7]} b") == "a ***, ****** b"
