"""Number forms, in the families of the usual test suites of JSON parsers: forbidden, required, and left to the reader.

What RFC 8259 forbids rejects the reply. What it allows comes out exactly as written, or not at all.
"""

import json
from decimal import Decimal

import pytest

from decisions.domain.gate import read_text
from decisions.domain.question import Outcome
from decisions.domain.strict_json import Unreadable, loads
from decisions.tests.builders import CLOSE, HOLD, OPEN, question, reply

ASKED = question()
FORBIDDEN = (
    "++1234", "+1", "+Inf", "-01", "-1.0.", "-2.", "-NaN", ".-1", ".2e-3", "0.1.2", "0.3e+", "0.3e", "0.e1", "0E+",
    "0E", "0e+", "0e", "1.0e+", "1.0e-", "1.0e", "1 000.0", "1eE2", "2.e+3", "2.e-3", "2.e3", "9.e+", "Inf", "inf",
    "NaN", "nan", "\uff11", "1+2", "0x1", "0x42", "0X1F", "0b1", "0o7", "Infinity", "-Infinity", "+Infinity", "0e+-1",
    "-123.123foo", "1e1\u00e5", "1\u00e5", "- 1", "-012", "-.123", "-1x", "1ea", "1e\u00e5", "1.", ".123", "1.2a-3",
    "1.8011670033376514H-308", "012", "00", "-00", "00.5", "-", "+", ".", "e", "1e", "1e+", "1,5", "1,000", "1_000",
    "1'000", "1\u00a0000", "1\u2009000", "\u22121", "\u20131", "\ufe631", "\u0661\u0662", "\u00bd", "1f", "1d", "1n",
    "1L", "2.5.0", "2..5", "2.5-", "2.5+", "--2.5", "-+2.5", "~2.5", "\u22482.5", "$2.5", "2.5$", "2.5%", "2.5 ETH",
    "<2.5>", "(2.5)", "1/2", "5e1.0", "5e 1", "5 e1", "5e\u22121", "#1", "NULL", "None", "True", "undefined", "2.5;",
)  # fmt: skip
REQUIRED = (
    "0e+1", "0e1", "4", " 4", "20e1", "-0", "-123", "-1", "-0.0", "1E22", "1E-2", "1E+2", "123e45", "123.456e78",
    "1e-2", "1e+2", "123", "123.456789", "2.5", "2.50", "25e-1", "0.25E1", "250E-2", "0", "0.0", "1e5", "4400",
    "-0.000000000000000000000000000000000000000000000000000000000000000000000000000001",
)  # fmt: skip
LEFT_OPEN = (
    "123.456e-789", "0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    "-1e+9999", "1.5e+9999", "-123123e100000", "123123e100000", "123e-10000000", "-123123123123123123123123123123",
    "100000000000000000000", "-237462374673276894279832749832423479823246327846", "1e400", "1e-400", "9" * 400,
    "0." + "0" * 400 + "1", "1" + "0" * 5000, "2.5" + "0" * 60,
)  # fmt: skip
SIZED = ("quantity", "profit_target", "stop_loss", "risk_usd")


def written(name: str, form: str) -> str:
    """The reply with this form, as it is, where the number stood; a close stands beside it."""
    close = CLOSE | {"coin": "BTCUSDT"}
    return reply(close, OPEN | {name: "\0"}).replace('"\\u0000"', form)


@pytest.mark.parametrize("form", FORBIDDEN)
def test_a_form_that_is_forbidden_rejects_the_reply_wherever_it_stands(form):
    for name in (*SIZED, "leverage", "confidence"):
        reading = read_text(written(name, form), ASKED)
        assert (reading.outcome, reading.proposals) == (Outcome.REJECTED, ())
        assert reading.reason.startswith(("json.invalid", "json.number"))
    with pytest.raises(Unreadable):
        loads(form)


@pytest.mark.parametrize("form", [*REQUIRED, *LEFT_OPEN])
def test_a_form_that_is_allowed_is_read_exactly_or_not_at_all(form):
    try:
        value = loads(f"[{form}]")[0]
    except Unreadable as fault:
        value = fault.code
    assert value == "json.number" or Decimal(value) == Decimal(form.strip())
    assert not isinstance(value, float)


@pytest.mark.parametrize("form", [*REQUIRED, *LEFT_OPEN])
def test_what_it_opens_is_the_number_that_was_written(form):
    for name in SIZED:
        for opening in read_text(written(name, form), ASKED).proposals:
            if opening.action.opens:
                assert getattr(opening, name) == Decimal(form.strip())


@pytest.mark.parametrize("form", ["25e-1", "2.50", "0.25E1", "250E-2", " 2.5"])
def test_other_ways_to_write_the_same_number_open_the_same(form):
    (opening,) = [one for one in read_text(written("quantity", form), ASKED).proposals if one.action.opens]
    assert opening.quantity == Decimal("2.5")


@pytest.mark.parametrize("form", REQUIRED[5:8])
def test_what_is_zero_or_less_never_opens(form):
    for name in SIZED:
        assert not any(one.action.opens for one in read_text(written(name, form), ASKED).proposals)


@pytest.mark.parametrize(
    "text",
    [
        "[1,]", "[,1]", "[1 2]", "[1", "1]", "{1:1}", '{"a":1,}', "{'a':1}", '{"a" 1}', '{"a"::1}', '{a:1}', "[1]x",
        '["\t"]', '["\\x41"]', '["\\u00"]', '["\\', '["a', "['a']", "[\\u0061]", "\ufeff[1]", "[\u2060]", "[1]\0", "\0",
        "", " ", "[1]//", "/**/[1]", "[1]#", "nul", "TRUE", "[true false]", '{"a":1 "b":2}', '{"a":1,"a":2}', "[[]",
        '{"a":{"b":1,"b":1}}', "[1]]", "*", "[-]", "[\f1]", "[\u00a01]", '{"a":true,"a":true}', "\u00e9",
    ],
)  # fmt: skip
def test_what_a_forgiving_reader_would_mend_is_not_read(text):
    with pytest.raises(Unreadable):
        loads(text)


def test_what_is_accepted_is_what_the_standard_reader_reads():
    """But for numbers, which keep their digits, the strict reader agrees with json on every valid text."""
    text = json.dumps({"a": [1, None, True, '\u2028\\"/', {"b": []}], "c": {}})
    assert loads(text) == json.loads(text)
    assert read_text(reply(HOLD), ASKED).outcome is Outcome.ANSWERED
