"""The reply gate: from a model's reply to exactly what it says, or to nothing.

It knows the text, the schema and the snapshot that was asked about. What needs portfolio or limits is risk's to judge.
Nothing is repaired, completed, rounded or chosen. Doubt about the whole rejects the whole; doubt about one item holds
that symbol. A close needs less proof than an entry: its symbol and its signal.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from decisions.domain.envelope import open_envelope
from decisions.domain.proposal import RISK_TOLERANCE, Action, Proposal, Side
from decisions.domain.question import Outcome, Question, Reading
from decisions.domain.schema import MAX_TEXT, TOP_LEVEL, Entry, cleaned, fault_of
from decisions.domain.strict_json import Unreadable, loads
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import SymbolView
from vibex.lib.errors import Rejected

log = logging.getLogger(__name__)

THOUGHTS: Final = re.compile(r"<think>.*?</think>", re.DOTALL)
FENCE: Final = re.compile(r"```(?:json)?[ \t]*\r?\n(.*?)\r?\n[ \t]*```", re.DOTALL)
NUMERAL: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
MAX_ITEMS: Final = 200
PLAUSIBLE: Final = (Decimal("0.5"), Decimal(2))
"""Prices outside this share of the market's price have lost or gained a digit."""
ACTIONS: Final[Mapping[str, Action]] = {action.value: action for action in Action}


class Doubtful(Rejected):
    """An entry that cannot be taken as written; the text is its reason code."""


class GateFault(Exception):
    """Stands in the log for an exception that nobody foresaw, whose own text may repeat the reply."""


def read_reply(raw: bytes, question: Question, *, model: str, also: Collection[str] = ()) -> Reading:
    """Return what the body of a reply says. Never raises; an unusable reply is REJECTED with its reason.

    `also` are names, besides its own, under which the model may answer.
    """
    return _total(lambda: _read_text(open_envelope(raw, model=model, also=also).text, question))


def read_text(text: str, question: Question) -> Reading:
    """Return what the text of a message says, as `read_reply` does without an envelope around it."""
    return _total(lambda: _read_text(text, question))


def gate_fault(fault: Exception) -> str:
    """Log where an unforeseen exception came from, without its text, and return the reason code for it."""
    reason = f"gate_fault: {type(fault).__name__}"
    log.error("a reply was rejected: %s", reason, exc_info=(GateFault, GateFault(reason), fault.__traceback__))
    return reason


def _total(read: Callable[[], Reading]) -> Reading:
    try:
        return read()
    except Unreadable as fault:
        return Reading(Outcome.REJECTED, reason=str(fault))
    except Exception as fault:  # noqa: BLE001
        # A fault of the gate's own must hold the bot, not end its cycle.
        return Reading(Outcome.REJECTED, reason=gate_fault(fault))


def unwrap(text: str) -> tuple[str, bool]:
    """Return the JSON part of a message and whether prose had to be cut off in front of it.

    Taken off: a byte order mark, white space around, one leading block of thoughts, one fence. Raises Unreadable when
    something stands behind the JSON, or when there is more than one candidate.
    """
    inner = text.removeprefix("\ufeff").strip()
    if inner.startswith("<think>"):
        thoughts = THOUGHTS.match(inner)
        if thoughts is None:
            raise Unreadable("text.thoughts", "the block of thoughts does not end")
        inner = inner[thoughts.end() :].strip()
    if inner.startswith("{"):
        return inner, False
    return _unfenced(inner) if "```" in inner else _behind_prose(inner)


def _unfenced(text: str) -> tuple[str, bool]:
    # Counted first: with a mark at every other place, the search would begin anew at each and take seconds.
    fence = FENCE.search(text) if text.count("```") == 2 else None
    if fence is None or text[fence.end() :].strip():
        raise Unreadable("text.fences", "it is not exactly one fenced block at the end")
    return fence[1].strip(), bool(text[: fence.start()].strip())


def _behind_prose(text: str) -> tuple[str, bool]:
    start = text.find("{")
    if start < 0:
        raise Unreadable("text.no_json", "there is no JSON object in it")
    if text[0] in '["':
        raise Unreadable("text.not_object", "it is no JSON object")
    return text[start:], True


def _read_text(text: str, question: Question) -> Reading:
    inner, salvaged = unwrap(text)
    items = _items(loads(inner), question)
    doubt = "text.salvaged" if salvaged else _stranger(items, question)
    proposals: list[Proposal] = []
    held: dict[str, str] = {}
    for item in items:
        try:
            proposals.append(_proposal(item, question, doubt))
        except Doubtful as reason:
            held[cleaned(str(item.get("coin")), 30)] = str(reason)
    return Reading(Outcome.ANSWERED, tuple(proposals), held=held)


def _items(value: Any, question: Question) -> list[dict[str, Any]]:
    """Return the items of a reply. One that is no object says nothing: it counts as an object without a symbol."""
    if not isinstance(value, dict) or value.keys() != TOP_LEVEL:
        raise Unreadable("reply.keys", f"the object does not have exactly the keys {', '.join(sorted(TOP_LEVEL))}")
    if value["decision_id"] != question.decision_id:
        raise Unreadable("reply.decision_id", "it answers another question")
    items = value["decisions"]
    if not isinstance(items, list) or len(items) > MAX_ITEMS:
        raise Unreadable("reply.decisions", f"decisions is not a list of at most {MAX_ITEMS} items")
    objects = [item if isinstance(item, dict) else {} for item in items]
    _refuse_twice(objects)
    return objects


def _refuse_twice(items: list[dict[str, Any]]) -> None:
    coins = Counter(coin for item in items if isinstance(coin := item.get("coin"), str))
    if any(count > 1 for count in coins.values()):
        raise Unreadable("reply.symbol_twice", "a symbol is decided more than once")


def _stranger(items: list[dict[str, Any]], question: Question) -> str:
    """Return a doubt about all entries when the reply speaks of a symbol that the bot does not have."""
    strange = any(item.get("coin") not in question.bot.symbols for item in items)
    return "reply.unknown_symbol" if strange else ""


def _proposal(item: dict[str, Any], question: Question, doubt: str) -> Proposal:
    """Return what one item says. Raises Doubtful when the symbol has to hold instead."""
    coin, action = item.get("coin"), _action(item)
    if not isinstance(coin, str) or coin not in question.bot.symbols:
        raise Doubtful("coin.unknown")
    if not action.opens:
        return Proposal(coin, action, justification=_words(item.get("justification")))
    if doubt:
        raise Doubtful(doubt)
    return _entry(item, action, question.snapshot.symbols.get(coin))


def _action(item: dict[str, Any]) -> Action:
    signal = item.get("signal")
    if not isinstance(signal, str) or signal not in ACTIONS:
        raise Doubtful("signal.unknown")
    return ACTIONS[signal]


def _words(text: Any) -> str:
    return cleaned(text, MAX_TEXT) if isinstance(text, str) else ""


def _entry(item: dict[str, Any], action: Action, view: SymbolView | None) -> Proposal:
    try:
        entry = Entry.model_validate(item)
    except ValidationError as error:
        raise Doubtful(fault_of(error)) from None
    if view is None:
        raise Doubtful("market.no_price")
    _check_meaning(entry, action, view)
    return Proposal(
        symbol=entry.coin,
        action=action,
        quantity=entry.quantity,
        leverage=entry.leverage,
        stop_loss=entry.stop_loss,
        profit_target=entry.profit_target,
        risk_usd=entry.risk_usd,
        confidence=float(entry.confidence),
        invalidation_condition=entry.invalidation_condition,
        justification=entry.justification,
    )


def _check_meaning(entry: Entry, action: Action, view: SymbolView) -> None:
    """Raise Doubtful when the numbers contradict each other or the market they were given."""
    side, mark = (Side.LONG if action is Action.BUY else Side.SHORT), view.quote.mark
    touch = view.quote.ask if side is Side.LONG else view.quote.bid
    if not (mark > 0 and touch > 0):
        raise Doubtful("market.no_price")
    if side.sign * (mark - entry.stop_loss) <= 0:
        raise Doubtful("stop_loss.side")
    if side.sign * (entry.profit_target - mark) <= 0:
        raise Doubtful("profit_target.side")
    for name, price in (("stop_loss", entry.stop_loss), ("profit_target", entry.profit_target)):
        _check_price(name, price, mark, view.instrument)
    implied = entry.quantity * abs(touch - entry.stop_loss)
    if abs(entry.risk_usd - implied) > RISK_TOLERANCE * implied:
        raise Doubtful("risk_usd.contradicts")
    _check_again(entry)


def _check_again(entry: Entry) -> None:
    """Raise Doubtful when the numbers that are said once more are not those that were said.

    `risk_usd` betrays a lost leading digit; a lost decimal, or one of the leverage, shows only here.
    """
    said = (entry.check or "").split()
    meant = [entry.quantity, entry.profit_target, entry.stop_loss, Decimal(entry.leverage)]
    if said and not (all(map(NUMERAL.fullmatch, said)) and list(map(Decimal, said)) == meant):
        raise Doubtful("check.contradicts")


def _check_price(name: str, price: Decimal, mark: Decimal, instrument: InstrumentSpec) -> None:
    low, high = PLAUSIBLE
    if not mark * low <= price <= mark * high:
        raise Doubtful(f"{name}.implausible")
    if price % instrument.tick_size:
        raise Doubtful(f"{name}.off_tick")
