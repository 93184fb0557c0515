"""Replies of real models, as others recorded them: none raises, and none opens what it does not say."""

import gzip
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from decisions.domain.gate import read_reply, read_text
from decisions.domain.question import Outcome
from decisions.tests.builders import ETH, MODEL, envelope, question, view

ASKED = question()
COINS = ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE")


def lines(path):
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.decode().splitlines()]


def texts_in(value):
    """Every text of a recorded line, however deep it lies."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from texts_in(child)


@pytest.fixture(scope="module")
def llm(shared_data):
    return shared_data / "llm"


def test_recorded_failures_are_rejected(llm):
    failures = lines(llm / "malformed_outputs.jsonl")
    readings = [read_text(failure["raw"], ASKED) for failure in failures]
    assert failures
    assert {reading.outcome for reading in readings} == {Outcome.REJECTED}


@pytest.mark.parametrize(
    "name",
    [
        "nof1_conversations_gpt5_gemini_qwen.jsonl.gz",
        "bot_raw_responses_glm_deepseek.jsonl.gz",
        "nofx_decisions.jsonl.gz",
        "aitrader_crypto_logs.jsonl.gz",
        "json_repair_cases.jsonl",
    ],
)
def test_no_recorded_text_opens_anything_or_raises(llm, name):
    """They answer other questions in other forms, so there is nothing in them that they say to this one."""
    recorded = [text for line in lines(llm / name) for text in texts_in(line)]
    assert recorded
    for text in recorded:
        for reading in (read_text(text, ASKED), read_reply(envelope(text), ASKED, model=MODEL)):
            assert reading.proposals == ()
            assert reading.reason
            assert not reading.reason.startswith("gate_fault")


def translated(decisions):
    """A recorded decision of the arena in the form that is asked for here, its numbers untouched."""
    items = [{**decision, "coin": f"{decision['coin']}USDT"} for decision in decisions]
    return json.dumps({"decision_id": ASKED.decision_id, "decisions": items})


def market_of(decisions):
    """The bot of the arena in a market where each coin stands where the stated risk says that it does."""
    symbols = tuple(f"{coin}USDT" for coin in COINS)
    views = {f"{decision['coin']}USDT": standing(decision) for decision in decisions}
    return replace(ASKED, bot=replace(ASKED.bot, symbols=symbols), snapshot=replace(ASKED.snapshot, symbols=views))


def standing(decision):
    stop, quantity = Decimal(str(decision["stop_loss"])), Decimal(str(decision["quantity"]))
    price = stop + Decimal(str(decision["risk_usd"])) / quantity
    return view(replace(ETH, symbol=f"{decision['coin']}USDT", tick_size=Decimal("0.0000001")), last=price)


def test_decisions_of_the_arena_in_our_form_come_out_as_they_were_meant(llm):
    """Its ten keys are the ten of our schema. Two of the recorded decisions open a position, with sound numbers."""
    recorded = [line["llm_response"] for line in lines(llm / "nof1_conversations_gpt5_gemini_qwen.jsonl.gz")]
    decided = [
        list(reply.values())
        for reply in recorded
        if isinstance(reply, dict) and all(isinstance(item, dict) for item in reply.values())
    ]
    assert sum(map(len, decided)) > 200
    opened = []
    for decisions in decided:
        reading = read_text(translated(decisions), market_of(decisions))
        said = {f"{decision['coin']}USDT": decision["signal"] for decision in decisions}
        assert (reading.outcome, reading.held) == (Outcome.ANSWERED, {})
        assert {proposal.symbol: proposal.action.value for proposal in reading.proposals} == said
        opened += [proposal for proposal in reading.proposals if proposal.action.opens]
    assert [(one.symbol, str(one.quantity), str(one.stop_loss), str(one.profit_target)) for one in opened] == [
        ("DOGEUSDT", "15778.3", "0.192408", "0.2204675"),
        ("BNBUSDT", "3.295", "1083.6", "1241.625"),
    ]
