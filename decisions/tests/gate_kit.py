"""Replies as models write them, and a reader of what they say that shares nothing with the gate."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from decimal import Decimal

from decisions.domain.gate import read_text
from decisions.domain.proposal import Proposal
from decisions.domain.question import Question
from decisions.tests.builders import BTC, ETH, HOLD, OPEN, PRICES, question, reply, view

SIZING = ("quantity", "profit_target", "stop_loss", "leverage")
"""What makes a position, in the order in which it is said once more."""
LITERAL = r"(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
HERE = PRICES | {"SOLUSDT": "187.25", "DOGEUSDT": "0.20137"}


def of_venue(symbol: str, tick: str):
    return view(replace(ETH, symbol=symbol, tick_size=Decimal(tick)), last=Decimal(HERE[symbol]))


FINE = question(view(BTC), of_venue("ETHUSDT", "0.01"), of_venue("SOLUSDT", "0.01"), of_venue("DOGEUSDT", "0.00001"))
"""A market with the ticks of real venues: a price that loses its last decimal is a price again."""


def checked(item: dict[str, object]) -> dict[str, object]:
    """The entry with its numbers said once more, as a model is asked to."""
    return item | {"check": " ".join(str(item[name]) for name in SIZING)}


LIKE_MODELS = {
    "ETH long": OPEN
    | {"quantity": 0.125, "stop_loss": 4100.25, "profit_target": 4400.5, "leverage": 10, "risk_usd": 12.49},
    "SOL long": OPEN
    | {
        "coin": "SOLUSDT",
        "quantity": 13.37,
        "stop_loss": 182.35,
        "profit_target": 197.15,
        "leverage": 12,
        "risk_usd": 65.5,
    },
    "DOGE long": OPEN
    | {
        "coin": "DOGEUSDT",
        "quantity": 15778.3,
        "stop_loss": 0.19241,
        "profit_target": 0.22047,
        "leverage": 8,
        "risk_usd": 141.5,
    },
    "BTC short": OPEN
    | {
        "coin": "BTCUSDT",
        "signal": "sell_to_enter",
        "quantity": 0.0125,
        "stop_loss": 113000.5,
        "profit_target": 109500,
        "leverage": 15,
        "risk_usd": 12.51,
    },
}
WITHOUT = {name: reply(item) for name, item in LIKE_MODELS.items()}
WITH = {name: reply(checked(item)) for name, item in LIKE_MODELS.items()}
ALL_AT_ONCE = reply(*(checked(item) for item in LIKE_MODELS.values()))
HOLDS_AND_ONE = reply(HOLD | {"check": ""}, checked(LIKE_MODELS["SOL long"]))


def openings(text: str, asked: Question = FINE) -> list[Proposal]:
    """What a text opens: symbol, side, quantity, stop, target, leverage. Its words and what sizes nothing are left out."""
    reading = read_text(text, asked)
    assert not reading.reason.startswith("gate_fault"), reading.reason
    found = [proposal for proposal in reading.proposals if proposal.action.opens]
    return [replace(one, justification="", invalidation_condition="", confidence=None, risk_usd=None) for one in found]


def changed_openings(texts: list[str], meant: list[Proposal], asked: Question = FINE) -> list[str]:
    """The texts that open something else than what was meant, or something that nobody meant."""
    return [text for text in texts if any(one not in meant for one in openings(text, asked))]


def deletions(text: str) -> list[str]:
    return [text[:spot] + text[spot + 1 :] for spot in range(len(text))]


def replacements(text: str) -> list[str]:
    return [
        text[:spot] + char + text[spot + 1 :]
        for spot in range(len(text))
        for char in "0123456789.-"
        if char != text[spot]
    ]


def truncations(text: str) -> list[str]:
    return [text[:cut] for cut in range(len(text))]


def unsaid(opening: Proposal, text: str, asked: Question) -> list[str]:
    """Return what an opening has that its text does not literally say, or that no entry may have."""
    faults = [name for name in (*SIZING, "risk_usd") if getattr(opening, name) not in _numbers(name, text)]
    if opening.symbol not in asked.bot.symbols or f'"{opening.symbol}"' not in text:
        faults.append("symbol")
    if f'"{opening.action.value}"' not in text:
        faults.append("action")
    return faults


def _numbers(name: str, text: str) -> set[Decimal]:
    """Every number that stands behind this key, found without a parser."""
    return {Decimal(said) for said in re.findall(rf'"{name}"\s*:\s*{LITERAL}\s*[,}}]', text)}


def mutated(text: str, chance: random.Random) -> str:
    """The text with one to four of its pieces cut out, doubled or written over."""
    for _ in range(chance.randint(1, 4)):
        start, length = chance.randrange(len(text)), chance.randint(0, 8)
        piece = chance.choice(
            ("", chance.choice('0123456789.-"{}[],:eE'), text[: chance.randint(0, 12)], "null", "```")
        )
        text = text[:start] + piece + text[start + length :] or "{"
    return text
