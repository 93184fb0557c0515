"""The adversarial table: what a reply may do, row by row (the numbers are those of the research's table).

ACCEPT  the entry comes out exactly as written
HOLD    that symbol does nothing, the others stand
REJECT  nothing of the reply is used
RISK    the gate lets it through as written, because only portfolio or limits can tell; risk rules on it
"""

import json
from decimal import Decimal

import pytest

from decisions.domain.gate import read_reply
from decisions.domain.proposal import Action, Proposal
from decisions.domain.question import Outcome
from decisions.tests.builders import CLOSE, HOLD, MODEL, OPEN, envelope, position, question, reply
from decisions.tests.gate_kit import unsaid

ACCEPT, REJECT, RISK = "accept", "reject", "risk"
HELD = "hold"
CLOSED = "close"

AS_WRITTEN = Proposal(
    symbol="ETHUSDT",
    action=Action.BUY,
    quantity=Decimal("2.5"),
    leverage=5,
    stop_loss=Decimal("4100.0"),
    profit_target=Decimal("4400.0"),
    risk_usd=Decimal("250.0"),
    confidence=0.7,
    invalidation_condition="4h close below EMA50",
    justification="trend and momentum agree",
)
GOOD = reply()
FENCED = f"```json\n{GOOD}\n```"
MISSING_STOP = {name: value for name, value in OPEN.items() if name != "stop_loss"}


def eth(**changes: object) -> str:
    return reply(HOLD, OPEN | changes)


def literal(name: str, text: str) -> str:
    """The reply with one value of the entry written as `text`, whatever that is."""
    return reply(HOLD, OPEN | {name: "\0"}).replace('"\\u0000"', text)


TEXTS = [
    ("1 clean", GOOD, ACCEPT),
    ("2 CRLF and indent", "\r\n  " + json.dumps(json.loads(GOOD), indent=2).replace("\n", "\r\n") + "\u00a0\n", ACCEPT),
    ("3 byte order mark", "\ufeff" + GOOD, ACCEPT),
    ("4 one fence", FENCED, ACCEPT),
    ("5 thoughts with braces", "<think>{maybe} short?</think>\n" + GOOD, ACCEPT),
    ("5 thoughts, then a fence", "<think>hm</think>" + FENCED, ACCEPT),
    ("6 whole number for a decimal", literal("profit_target", "4400"), ACCEPT),
    ("7 exponent", literal("quantity", "2.5e0"), ACCEPT),
    ("8 escape in a text", eth(justification="trend \u2191"), ACCEPT),
    ("9 coin absent", reply(OPEN), ACCEPT),
    ("10 nothing decided", '{"decision_id": "d1f0c3", "decisions": []}', HELD),
    ("11 close", reply(HOLD, CLOSE), CLOSED),
    ("11 close with a size of its own", reply(HOLD, CLOSE | {"quantity": 99}), CLOSED),
    ("12 prose and a fence that opens", "Here is my decision:\n" + FENCED, HELD),
    ("13 prose and a fence that closes", f"I close.\n```json\n{reply(HOLD, CLOSE)}\n```", CLOSED),
    ("14 prose and a bare object", "Finally, output the JSON." + GOOD, HELD),
    ("15 two fences", FENCED + "\nWait, correction:\n" + FENCED, REJECT),
    ("16 two objects", GOOD + "\n" + GOOD, REJECT),
    ("17 taken back", GOOD + "\nActually do not do this.", REJECT),
    ("17 fence taken back", FENCED + "\nActually do not do this.", REJECT),
    ("18 thoughts without end", "<think>so I buy " + GOOD, REJECT),
    ("19 placeholder", literal("quantity", "<full current size>"), REJECT),
    ("20 list of wrappers", json.dumps([{"trade_signal_args": OPEN}]), REJECT),
    ("21 cut", GOOD[: GOOD.index("4400") + 2], REJECT),
    ("30 empty", "", REJECT),
    ("30 blank", "  \n ", REJECT),
    ("32 refusal in prose", "I cannot give financial advice.", REJECT),
    ("34 replayed", reply(decision_id="d1f0c2"), REJECT),
    ("34 without id", json.dumps({"decisions": [HOLD, OPEN]}), REJECT),
    ("35 schema echoed", json.dumps({"type": "object", "properties": {"decisions": [OPEN]}}), REJECT),
    ("36 NaN", literal("quantity", "NaN"), REJECT),
    ("36 Infinity", literal("profit_target", "Infinity"), REJECT),
    ("37 too large", literal("quantity", "1e400"), REJECT),
    ("37 too small", literal("quantity", "1e-30"), REJECT),
    ("37 exponent beyond all", literal("quantity", "1e99999999999999999999"), REJECT),
    ("38 integer of 5000 digits", literal("quantity", "9" * 5000), REJECT),
    ("38 deep", '{"decision_id": "d1f0c3", "decisions": ' + "[" * 60_000, REJECT),
    ("38 closed but deep", '{"decision_id": "d1f0c3", "decisions": ' + "[" * 20 + "]" * 20 + "}", REJECT),
    ("39 negative zero", literal("quantity", "-0.0"), REJECT),
    *((f"40 {text}", literal("quantity", text), REJECT) for text in (".5", "2.", "02.5", "+2.5")),
    ("41 other minus", literal("quantity", "\u22122.5"), REJECT),
    *((f"42 {text}", literal("profit_target", text), REJECT) for text in ("4 400.0", "4,400.0", "4_400")),
    *((f"43 {text}", literal("confidence", text), REJECT) for text in ("65%", "2.5 ETH")),
    ("44 full-width digits", literal("quantity", "\uff12.\uff15"), REJECT),
    ("45 hexadecimal", literal("leverage", "0x5"), REJECT),
    ("46 key twice", GOOD.replace('"leverage": 5', '"leverage": 5, "leverage": 10'), REJECT),
    ("47 coin twice", reply(OPEN, OPEN | {"signal": "sell_to_enter"}), REJECT),
    ("48 comment", GOOD.replace('"leverage": 5', '"leverage": 5 /* or 10 */'), REJECT),
    ("49 trailing comma", GOOD[:-2] + ",]}", REJECT),
    ("49 Python dict", str({"decision_id": "d1f0c3", "decisions": [HOLD, OPEN]}), REJECT),
    ("49 dots", '{"decision_id": "d1f0c3", "decisions": [...]}', REJECT),
    ("50 unknown top-level key", reply(HOLD, OPEN, override=True), REJECT),
    *(
        (
            f"51 unknown symbol {symbol!r} (the design: entries hold, closes stand)",
            reply(HOLD | {"coin": symbol}, OPEN),
            HELD,
        )
        for symbol in ("PEPEUSDT", "btcusdt", "BTC", "\u0412TCUSDT", "BTCUSDT\u200b", "__proto__", None, ["BTCUSDT"])
    ),
    ("51 unknown symbol beside a close (the design: closes stand)", reply(HOLD | {"coin": "PEPEUSDT"}, CLOSE), CLOSED),
    *((f"52 quantity {value!r}", eth(quantity=value), HELD) for value in ("2.5", "2.5 ETH", None, True, [], {})),
    *((f"53 quantity {value!r}", eth(quantity=value, risk_usd=250.0), HELD) for value in (-2.5, 0, 0.0)),
    ("53 off step (the design: risk shrinks it to the step)", eth(quantity=2.50001), RISK),
    ("54 ten times too large (the design: risk shrinks it)", eth(quantity=25.0, risk_usd=2500.0), RISK),
    ("55 lost digits", eth(quantity=0.1), HELD),
    *((f"56 leverage {value!r}", eth(leverage=value), HELD) for value in ("10x", 5.0, 0, -3, None, True, 100_000)),
    ("56 leverage over the cap (risk refuses it)", eth(leverage=40), RISK),
    *((f"57 confidence {value!r}", eth(confidence=value), HELD) for value in (65, "65%", -0.1, None)),
    ("58 stop on the wrong side", eth(stop_loss=4300.0), HELD),
    ("58 target on the wrong side", eth(profit_target=4150.0), HELD),
    ("58 short with a long's prices", eth(signal="sell_to_enter"), HELD),
    ("58 stop at mark", eth(stop_loss=4200.0), HELD),
    ("59 stop null", eth(stop_loss=None), HELD),
    ("59 stop zero", eth(stop_loss=0), HELD),
    ("59 stop lost a digit", eth(stop_loss=410.0), HELD),
    ("59 stop lost a digit, risk agrees", eth(stop_loss=410.0, risk_usd=9475.0), HELD),
    ("59 stop off tick", eth(stop_loss=4100.05), HELD),
    ("59 target off tick", eth(profit_target=4400.01), HELD),
    ("59 target null", eth(profit_target=None), HELD),
    ("59 stop missing", reply(HOLD, MISSING_STOP), HELD),
    ("60 risk too low", eth(risk_usd=150.0), HELD),
    ("60 risk too high", eth(risk_usd=400.0), HELD),
    ("60 risk null", eth(risk_usd=None), HELD),
    ("60 amount with more digits than anybody means", literal("risk_usd", "250.000000000000001"), HELD),
    *((f"63 signal {value!r}", eth(signal=value), HELD) for value in ("BUY", "buy_to_ent", "buy_to_enter ", None, 1)),
    ("64 extra field", eth(stop_loss_pct=2), HELD),
    ("65 direction override", eth(justification="up \u202ednwod"), HELD),
    ("65 terminal escape", eth(justification="\x1b[31mred"), HELD),
    ("65 lone surrogate", GOOD.replace("trend and", "\\ud800"), HELD),
    ("65 five kilobytes", eth(justification="x" * 5000), HELD),
    (
        "66 each fits, the sum does not (the design: risk shrinks the second)",
        reply(HOLD, OPEN | {"quantity": 9.0, "risk_usd": 900.0}),
        RISK,
    ),
    (
        "67 all in after hostile news (risk refuses it)",
        eth(quantity=50.0, risk_usd=5000.0, leverage=40, confidence=1),
        RISK,
    ),
    ("68 script in a text", eth(justification="<script>alert(1)</script>"), ACCEPT),
    ("69 what looks like a key", eth(justification="sk-or-v1-0123"), ACCEPT),
]

ENVELOPES = [
    ("22 cut and said so", envelope(GOOD[:200], choice={"finish_reason": "length"})),
    ("23 complete but length", envelope(GOOD, choice={"finish_reason": "length"})),
    ("23 no finish reason", envelope(GOOD, choice={"finish_reason": None})),
    ("24 native limit", envelope(GOOD, choice={"native_finish_reason": "MAX_TOKENS"})),
    (
        "25 provider error with a complete text",
        envelope(GOOD, choice={"finish_reason": "error", "error": {"code": 502}}),
    ),
    ("25 error but stop", envelope(GOOD, choice={"error": {"code": 502}})),
    ("26 content filter", envelope(GOOD, choice={"finish_reason": "content_filter"})),
    ("26 native safety", envelope(GOOD, choice={"native_finish_reason": "SAFETY"})),
    ("27 error inside 200", envelope(GOOD, error={"code": 429, "message": "slow down"})),
    ("27 error without a code", envelope(GOOD, error={"error_type": "provider_overloaded", "http_status": 503})),
    ("27 only null fields and an error", b'{"id": null, "choices": null, "model": null, "error": {"code": 429}}'),
    ("28 choices null", envelope(GOOD, choices=None)),
    ("28 choices empty", envelope(GOOD, choices=[])),
    ("29 two choices", envelope(GOOD, choices=json.loads(envelope(GOOD))["choices"] * 2)),
    ("30 content null", envelope(None)),
    ("30 content as parts", envelope([{"type": "text", "text": GOOD}])),
    ("30 no message", envelope(GOOD, choices=[{"finish_reason": "stop"}])),
    ("31 tool call", envelope(GOOD, message={"tool_calls": [{"function": {"arguments": GOOD}}]})),
    ("32 refusal field", envelope(GOOD, message={"refusal": "no"})),
    ("33 other model", envelope(GOOD, model="x-ai/grok-4.3-mini")),
    ("33 other model of the same family", envelope(GOOD, model="x-ai/grok-4")),
    ("33 no model", envelope(GOOD, model=None)),
    ("nested under provider", json.dumps({"provider": json.loads(envelope(GOOD))}).encode()),
    ("HTML", b"<html><body>Bad gateway</body></html>"),
    ("empty body", b""),
    ("heartbeats only", b"\n\n\n \n"),
    ("not UTF-8", b"\xff\xfe\x00"),
    ("a string", b'"hold"'),
    ("two bodies", envelope(GOOD) * 2),
    ("more than a megabyte", envelope(GOOD, padding="x" * 1_000_001)),
]


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS])
def test_a_text_does_what_the_table_says(text, expected):
    asked = question()
    reading = read_reply(envelope(text), asked, model=MODEL)
    openings = [proposal for proposal in reading.proposals if proposal.action.opens]
    if expected == REJECT:
        assert (reading.outcome, reading.proposals) == (Outcome.REJECTED, ())
        assert reading.reason
        return
    assert reading.outcome is Outcome.ANSWERED
    closes = [proposal.symbol for proposal in reading.proposals if proposal.action is Action.CLOSE]
    assert closes == (["ETHUSDT"] if expected == CLOSED else [])
    assert len(openings) == (1 if expected in (ACCEPT, RISK) else 0)
    assert [unsaid(opening, text, asked) for opening in openings] == [[]] * len(openings)


@pytest.mark.parametrize("body", [row[1] for row in ENVELOPES], ids=[row[0] for row in ENVELOPES])
def test_a_broken_envelope_rejects_even_a_perfect_text(body):
    reading = read_reply(body, question(), model=MODEL)
    assert (reading.outcome, reading.proposals) == (Outcome.REJECTED, ())
    assert reading.reason


def test_an_accepted_entry_says_exactly_what_was_written():
    reading = read_reply(envelope(GOOD), question(), model=MODEL)
    assert reading.proposals == (Proposal("BTCUSDT", Action.HOLD, justification="no edge"), AS_WRITTEN)
    assert reading.held == {}


def test_no_digit_is_lost_on_the_way():
    text = literal("quantity", "2.5123456789").replace('"risk_usd": 250.0', '"risk_usd": 251.2345678901')
    opening = read_reply(envelope(text), question(), model=MODEL).proposals[-1]
    assert (str(opening.quantity), str(opening.risk_usd)) == ("2.5123456789", "251.2345678901")


def test_61_and_62_need_the_portfolio_and_are_left_to_risk():
    held = question(positions=(position(),))
    assert read_reply(envelope(GOOD), held, model=MODEL).proposals[-1] == AS_WRITTEN
    assert read_reply(envelope(reply(CLOSE)), question(), model=MODEL).proposals[0].action is Action.CLOSE


def test_one_bad_symbol_holds_alone():
    reading = read_reply(envelope(reply(OPEN | {"coin": "BTCUSDT"}, CLOSE)), question(), model=MODEL)
    assert reading.held == {"BTCUSDT": "profit_target.side"}
    assert [proposal.action for proposal in reading.proposals] == [Action.CLOSE]


def test_names_that_a_model_makes_up_can_be_kept_and_shown():
    strange = "\x00\ud800\u202e" + "x" * 100
    reading = read_reply(envelope(reply(OPEN | {strange: 1}, HOLD | {"coin": strange})), question(), model=MODEL)
    assert reading.held == {"ETHUSDT": "reply.unknown_symbol", "x" * 30: "coin.unknown"}
    reading = read_reply(envelope(reply(OPEN | {strange.replace("\ud800", ""): 1})), question(), model=MODEL)
    assert reading.held == {"ETHUSDT": "x" * 40 + ".extra_forbidden"}


def test_a_close_needs_only_its_symbol_and_its_signal():
    bare = {"coin": "ETHUSDT", "signal": "close_position", "quantity": "all", "surprise": 1}
    reading = read_reply(envelope(reply(bare)), question(), model=MODEL)
    assert reading.proposals == (Proposal("ETHUSDT", Action.CLOSE),)


def test_text_of_a_close_is_cleaned_not_refused():
    reading = read_reply(envelope(reply(CLOSE | {"justification": "out\x00 \x1b[31mnow"})), question(), model=MODEL)
    assert reading.proposals[0].justification == "out [31mnow"


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("x-ai/grok-4.3", "x-ai/grok-4.3"),
        ("x-ai/grok-4.3", "x-ai/grok-4.3-20260430"),
        ("openai/gpt-5", "openai/gpt-5-2025-08-07"),
        ("x-ai/grok-4.3:nitro", "x-ai/grok-4.3-20260430"),
        ("llama3:8b", "llama3:8b"),
    ],
)
def test_the_dated_name_of_the_asked_model_is_the_same_model(asked, served):
    assert read_reply(envelope(GOOD, model=served), question(), model=asked).outcome is Outcome.ANSWERED


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("openai/gpt-5", "openai/gpt-5-mini-2025-08-07"),
        ("openai/gpt-5", "openai/gpt-5.1"),
        ("openai/gpt-5", "gpt-5"),
        ("llama3:8b", "llama3"),
        ("llama3:8b", "llama3:70b"),
    ],
)
def test_another_model_is_refused(asked, served):
    assert read_reply(envelope(GOOD, model=served), question(), model=asked).outcome is Outcome.REJECTED
