"""What a decision was made in, as JSON and back: frozen dataclasses, exactly. Pure.

Decimals are text with all their digits, times are UTC text with microseconds. A field that says nothing (None, "", an
empty collection) and says so by default is left out; every other one is written, since a default may change one day.
The market itself is not in it: it is stored once for all who saw it. What the venue's rules were is.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from math import isfinite
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from decisions.domain.question import Question
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot
from vibex.lib.errors import Rejected

FORM: Final = 1
"""Of what is written here. What has another one is not read."""
OF_QUESTION: Final = (
    "decision_id",
    "bot",
    "portfolio",
    "limits",
    "next_decision_at",
    "started_at",
    "invocation",
    "feedback",
    "barred",
    "outside",
)
"""Parts of a question that are kept here. Its texts are in the interaction, its market in the snapshots."""
NOTHING: Final[tuple[object, ...]] = (None, "", (), {})
MICROSECOND: Final = timedelta(microseconds=1)

type Kept = dict[str, Any]


class Unkept(Rejected):
    """What was kept of a cycle is not there, or cannot be read."""


def question_kept(question: Question) -> Kept:
    """Return all that a question held besides its texts and its market."""
    parts = {name: packed(getattr(question, name)) for name in OF_QUESTION}
    return {
        "v": FORM,
        **{name: part for name, part in parts.items() if part != []},
        "venue": question.snapshot.venue,
        "at": packed(question.snapshot.at),
        "reasons": {symbol: packed(view.reason) for symbol, view in question.snapshot.symbols.items() if view.reason},
        **instruments_kept(question.snapshot),
    }


def question_from(kept: Mapping[str, Any], snapshot: MarketSnapshot) -> Question:
    """Return the question that was kept, about this market and without its texts. Raises Unkept."""
    check_form(kept)
    kinds = hints(Question)
    try:
        return Question(
            snapshot=snapshot, **{name: unpacked(kinds[name], kept[name]) for name in OF_QUESTION if name in kept}
        )
    except TypeError as fault:  # a part without a default is missing
        raise Unkept(f"what was kept of the question is not whole: {fault}", code="kept") from None


def check_form(kept: Mapping[str, Any]) -> None:
    """Raise Unkept where nothing was kept, or in a form that nobody here knows."""
    if not kept:
        raise Unkept("nothing was kept of what it decided in", code="not_kept")
    if kept.get("v") != FORM:
        raise Unkept(
            f"what was kept is written in form {kept.get('v')!r}, and this version of Vibex reads {FORM}", code="kept"
        )


def instruments_kept(snapshot: MarketSnapshot) -> Kept:
    """Return the rules of the contracts: under `rules` what all share, under `instruments` what only one has."""
    rows = {symbol: packed(view.instrument) for symbol, view in snapshot.symbols.items()}
    first: Kept = next(iter(rows.values()), {})
    shared = {name: value for name, value in first.items() if all(row.get(name) == value for row in rows.values())}
    own = {symbol: {name: row[name] for name in row if name not in shared} for symbol, row in rows.items()}
    return {"rules": shared, "instruments": own}


def instruments_from(kept: Mapping[str, Any]) -> dict[str, InstrumentSpec]:
    """Return the rules of the contracts by symbol. Raises Unkept."""
    check_form(kept)
    own, shared = kept.get("instruments", {}), kept.get("rules", {})
    return {symbol: unpacked(InstrumentSpec, {**shared, **row}) for symbol, row in own.items()}


def packed(value: Any) -> Any:
    """Return a value as JSON. Raises TypeError for what has no form here."""
    form = FORMS.get(type(value))
    if form is not None:
        return form(value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = ((name, getattr(value, name), nothing) for name, nothing in _left_out(type(value)))
        return {name: packed(part) for name, part, nothing in parts if part != nothing}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {_storable(str(name)): packed(each) for name, each in value.items()}
    raise TypeError(f"{type(value).__name__} has no form in which it is kept")


def unpacked(kind: Any, data: Any) -> Any:
    """Return JSON as the value of a type: a dataclass, or what one is made of. Raises Unkept for what is none."""
    try:
        return _unpacked(kind, data)
    except (TypeError, ValueError, KeyError, AttributeError, InvalidOperation) as fault:
        name = getattr(kind, "__name__", str(kind))
        raise Unkept(f"what was kept as {name} cannot be read: {fault}", code="kept") from None


def _unpacked(kind: Any, data: Any) -> Any:
    if kind is Any:
        return data
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return None if data is None else _unpacked(next(one for one in get_args(kind) if one is not type(None)), data)
    if origin is tuple:
        return _tuple(get_args(kind), data)
    if origin is not None:  # a mapping by name
        return {name: _unpacked(get_args(kind)[1], each) for name, each in data.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        known = hints(kind)
        return kind(**{name: _unpacked(known[name], each) for name, each in data.items() if name in known})
    return _plain(kind, data)


def _tuple(kinds: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_unpacked(kinds[0], each) for each in data)
    return tuple(_unpacked(kind, each) for kind, each in zip(kinds, data, strict=True))


def _plain(kind: Any, data: Any) -> Any:
    if kind is datetime:
        return datetime.fromisoformat(data)
    if kind is timedelta:
        return data * MICROSECOND
    if kind in (Decimal, float) or issubclass(kind, Enum):
        return kind(data)
    if kind in (bool, int, str) and type(data) is kind:
        return data
    raise TypeError(f"{data!r} is no {kind.__name__}")


@cache
def hints(kind: type) -> dict[str, Any]:
    """Return the types of the fields of a dataclass by name."""
    known = get_type_hints(kind)
    return {field.name: known[field.name] for field in fields(kind)}


@cache
def _left_out(kind: type) -> tuple[tuple[str, object], ...]:
    """Return the fields of a dataclass, each with the value at which it is left out: its default, where that is nothing."""
    return tuple((field.name, _nothing(field)) for field in fields(kind))


def _nothing(field: Field[Any]) -> object:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return default if any(default == nothing for nothing in NOTHING) else MISSING


def _storable(text: str) -> str:
    """Return the text as a database can keep it: PostgreSQL refuses NUL, and no encoding has lone surrogates."""
    return text if text.isprintable() else text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _as_it_is(value: Any) -> Any:
    return value


def _listed(values: Iterable[Any]) -> list[Any]:
    return [packed(each) for each in values]


FORMS: Final[Mapping[type, Callable[[Any], Any]]] = {
    type(None): _as_it_is,
    bool: _as_it_is,
    int: _as_it_is,
    str: _storable,
    float: lambda value: value if isfinite(value) else repr(value),
    Decimal: str,
    datetime: lambda at: (at.astimezone(UTC) if at.tzinfo else at).isoformat(),
    timedelta: lambda span: span // MICROSECOND,
    tuple: _listed,
    list: _listed,
}
"""How a value of exactly this type is written."""
