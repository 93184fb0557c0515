"""Replies of real models, as others recorded them: none raises, and none opens what it does not say."""

import gzip
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from decisions.domain.gate import read_reply, read_text
from decisions.domain.question import Outcome
from decisions.tests.builders import ETH, MODEL, envelope, question, view
from decisions.tests.gate_kit import unsaid

ASKED = question()
COINS = ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE")


def lines(path):
    """The records of a file: one a line, or the whole as one."""
    content = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    return [json.loads(line) for line in content.splitlines()] if ".jsonl" in path.name else [json.loads(content)]


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


def test_no_recorded_text_opens_anything_or_raises(llm):
    """They answer other questions in other forms, so there is nothing in them that they say to this one."""
    files = sorted(path for path in llm.iterdir() if ".json" in path.name)
    assert len(files) >= 10
    for path in files:
        recorded = {text for line in lines(path) for text in texts_in(line)}
        assert recorded, path.name
        for text in recorded:
            for reading in (read_text(text, ASKED), read_reply(envelope(text), ASKED, model=MODEL)):
                assert reading.proposals == (), path.name
                assert reading.reason
                assert not reading.reason.startswith("gate_fault")


def test_no_recorded_line_opens_anything_as_a_body_or_as_what_stands_in_ours(llm):
    """Also not when everything that our form asks for stands around what was recorded."""
    for path in sorted(path for path in llm.iterdir() if ".json" in path.name):
        for line in lines(path):
            items = line if isinstance(line, list) else [line]
            framed = json.dumps({"decision_id": ASKED.decision_id, "decisions": items})
            for reading in (
                read_reply(json.dumps(line).encode(), ASKED, model=MODEL),
                read_reply(envelope(json.dumps(line)), ASKED, model=MODEL),
                read_text(framed, ASKED),
            ):
                assert reading.proposals == (), path.name
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
        asked = market_of(decisions)
        reading = read_text(translated(decisions), asked)
        said = {f"{decision['coin']}USDT": decision["signal"] for decision in decisions}
        assert (reading.outcome, reading.held) == (Outcome.ANSWERED, {})
        assert {proposal.symbol: proposal.action.value for proposal in reading.proposals} == said
        entries = [proposal for proposal in reading.proposals if proposal.action.opens]
        assert [unsaid(entry, translated(decisions), asked) for entry in entries] == [[]] * len(entries)
        opened += entries
    assert [(one.symbol, str(one.quantity), str(one.stop_loss), str(one.profit_target)) for one in opened] == [
        ("DOGEUSDT", "15778.3", "0.192408", "0.2204675"),
        ("BNBUSDT", "3.295", "1083.6", "1241.625"),
    ]
