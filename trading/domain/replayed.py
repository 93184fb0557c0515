"""What was decided once and what is decided now, side by side: which field differs, and which rule spoke. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Context, Decimal
from typing import Any, Final

from accounts.domain.limits import Limits
from decisions.domain.proposal import Ruling

DIGITS: Final = Context(prec=15)
"""What is stored of a number: two that agree in so many are the same."""
LARGEST_POWER: Final = 18
"""No number from 1e18 on is stored."""
COMPARED: Final = (
    "action",
    "quantity",
    "leverage",
    "stop_loss",
    "profit_target",
    "risk_usd",
    "confidence",
    "verdict",
    "allowed",
)
OF_ANOTHER_WISH: Final = ("action", "verdict")
"""What is compared where something else is asked for: its numbers are of another thing."""
NOTHING: Final = "nothing"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One rule that spoke, with the numbers it compared."""

    rule: str
    effect: str
    text: str
    numbers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What was asked for on one symbol, and what the rules made of it. Amounts of the base asset, prices in quote units."""

    action: str
    verdict: str
    quantity: Decimal | None = None
    """Asked for."""
    leverage: int | None = None
    stop_loss: Decimal | None = None
    profit_target: Decimal | None = None
    risk_usd: Decimal | None = None
    confidence: float | None = None
    allowed: Decimal | None = None
    hits: tuple[Spoken, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was."""

    field: str
    then: str
    now: str

    def __str__(self) -> str:
        return f"{self.field}: {self.then} → {self.now}"


@dataclass(frozen=True, slots=True)
class SymbolReplay:
    """One symbol, then and now. None where nothing was, or is, decided on it."""

    symbol: str
    then: Told | None
    now: Told | None
    changes: tuple[Change, ...] = ()

    @property
    def same(self) -> bool:
        return not self.changes


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the answers to one question asked for the same on a symbol."""

    symbol: str
    action: str
    """Asked for most often."""
    times: int
    of: int
    """Answers that could be used."""


def told_of(ruling: Ruling) -> Told:
    """Return a ruling as it is compared."""
    proposal = ruling.proposal
    return Told(
        action=proposal.action.value,
        verdict=ruling.verdict.value,
        quantity=_stored(proposal.quantity),
        leverage=proposal.leverage,
        stop_loss=_stored(proposal.stop_loss),
        profit_target=_stored(proposal.profit_target),
        risk_usd=_stored(proposal.risk_usd),
        confidence=proposal.confidence,
        allowed=_stored(ruling.quantity),
        hits=tuple(Spoken(hit.rule, hit.effect.value, hit.text, dict(hit.numbers)) for hit in ruling.hits),
    )


def compared(
    then: Sequence[tuple[str, Told]],
    now: Sequence[tuple[str, Told]],
    *,
    held_then: Mapping[str, str],
    held_now: Mapping[str, str],
) -> tuple[SymbolReplay, ...]:
    """Pair what was and is decided, symbol by symbol and in order; `held_*` are symbols that the gate did not let through."""
    before, after = _by_symbol(then), _by_symbol(now)
    rows = []
    for symbol in dict.fromkeys([*before, *after, *held_then, *held_now]):
        olds, news = before.get(symbol, []), after.get(symbol, [])
        gate = _changed("gate", held_then.get(symbol), held_now.get(symbol))
        for place in range(max(len(olds), len(news), 1)):
            old, new = _at(olds, place), _at(news, place)
            rows.append(SymbolReplay(symbol, old, new, (*gate, *changes_of(old, new))))
            gate = ()
    return tuple(rows)


def changes_of(then: Told | None, now: Told | None) -> tuple[Change, ...]:
    """Return what differs between two decisions on one symbol: fields, then rules."""
    if then is None or now is None:
        return _changed("decision", then and f"{then.action} {then.verdict}", now and f"{now.action} {now.verdict}")
    found: list[Change] = []
    for name in COMPARED if then.action == now.action else OF_ANOTHER_WISH:
        found += _changed(name, getattr(then, name), getattr(now, name))
    return (*found, *_rules(then.hits, now.hits))


def limits_changed(then: Limits, now: Limits) -> tuple[Change, ...]:
    """Return the limits that are not what they were."""
    names = (each.name for each in fields(Limits))
    return tuple(change for name in names for change in _changed(name, getattr(then, name), getattr(now, name)))


def agreements(answers: Iterable[Mapping[str, str]], symbols: Sequence[str]) -> tuple[Agreement, ...]:
    """Return by symbol which action was asked for most often; `answers` are actions by symbol, hold where one says none."""
    usable = list(answers)
    counts = {symbol: Counter(answer.get(symbol, "hold") for answer in usable) for symbol in symbols}
    return tuple(Agreement(symbol, *count.most_common(1)[0], len(usable)) for symbol, count in counts.items() if count)


def shown(value: Any) -> str:
    """Return a value as a person reads it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value)


def _rules(then: Sequence[Spoken], now: Sequence[Spoken]) -> tuple[Change, ...]:
    """Return which rules speak that did not, and which compare other numbers."""
    old, new = {hit.rule: hit for hit in then}, {hit.rule: hit for hit in now}
    found: list[Change] = []
    for rule in dict.fromkeys([*old, *new]):
        found += _changed(rule, _said(old.get(rule)), _said(new.get(rule)))
    return tuple(found)


def _said(hit: Spoken | None) -> str:
    """Return what a rule compared. Its words are not compared: they may be put better one day."""
    if hit is None:
        return "silent"
    numbers = ", ".join(f"{name} {number}" for name, number in sorted(hit.numbers.items()))
    return f"{hit.effect} ({numbers})" if numbers else hit.effect


def _changed(name: str, then: object, now: object) -> tuple[Change, ...]:
    same = then == now or (then in (None, "") and now in (None, ""))
    return () if same else (Change(name, shown(then), shown(now)),)


def _by_symbol(rows: Sequence[tuple[str, Told]]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = defaultdict(list)
    for symbol, told in rows:
        found[symbol].append(told)
    return found


def _at(rows: Sequence[Told], place: int) -> Told | None:
    return rows[place] if place < len(rows) else None


def _stored(number: Decimal | None) -> Decimal | None:
    if number is None or not number.is_finite() or number.adjusted() >= LARGEST_POWER:
        return None
    return DIGITS.plus(number)
