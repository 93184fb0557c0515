"""The reply on the wire: what a model is asked to send and what an entry must look like to be read.

A list of decisions, not a map by coin: one coin named twice stays visible. `decision_id` is a nonce that must come
back, so that a cached, replayed or template answer is seen for what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Final
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from decisions.domain.proposal import Action

TOP_LEVEL: Final = frozenset({"decision_id", "decisions"})
MAX_TEXT: Final = 2_000
MAX_DIGITS: Final = 15
"""Significant digits of an amount; more than that no model means, and not every database keeps."""
MAX_PLACES: Final = 10
MAX_CHECK: Final = 200
CHECK_HINT: Final = "entry: quantity profit_target stop_loss leverage once more, separated by spaces; else empty"
MAX_LEVERAGE: Final = 1_000
"""Above it a number is no leverage at all. What is allowed is decided by the limits of the account."""
HIDDEN: Final = frozenset({"Cc", "Cf", "Cs"})
"""Unicode categories of control, invisible and direction characters and of lone surrogates."""


def _decimal(value: Any) -> Any:
    """Take a whole number for a decimal. Text, true and false stay what they are and are refused."""
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _storable(value: Decimal) -> Decimal:
    """Refuse more decimals than are stored. Stated as a bound of the field, it would also shorten the whole digits."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_PLACES:
        raise PydanticCustomError("decimal_max_places", "more than ten decimals")
    return value


def _clean(text: str) -> str:
    if unprintable(text):
        raise ValueError("control, zero-width or direction characters")
    return text


type Amount = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    Field(gt=0, allow_inf_nan=False, max_digits=MAX_DIGITS),
    AfterValidator(_storable),
]
type Share = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0, le=1, allow_inf_nan=False)]
type Text = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(_clean)]


class Entry(BaseModel):
    """An item that opens a position, complete and in strict types. Prices in quote units, quantity in the base asset."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    coin: str
    signal: str
    quantity: Amount
    profit_target: Amount
    stop_loss: Amount
    invalidation_condition: Text
    leverage: Annotated[int, Field(ge=1, le=MAX_LEVERAGE)]
    confidence: Share
    risk_usd: Amount
    justification: Text
    check: Annotated[str, StringConstraints(max_length=MAX_CHECK)] | None = None
    """The four numbers that make the position, said again. Asked of every model; one that leaves it out is read all
    the same, but a digit that it loses may then go unseen."""


FIELDS: Final = tuple(Entry.model_fields)


def unprintable(text: str) -> bool:
    """Does the text hold characters that a person cannot see, or that cannot be stored?"""
    return any(_hidden(char) for char in text)


def cleaned(text: str, limit: int) -> str:
    """Return the text without such characters, cut to `limit` characters."""
    return "".join(char for char in text[: 2 * limit] if not _hidden(char))[:limit]


def _hidden(char: str) -> bool:
    return category(char) in HIDDEN and char not in "\t\n\r"


def fault_of(error: ValidationError) -> str:
    """Return the reason code of an invalid entry: the first field at fault and the kind of fault.

    The name of a field that should not be there is the model's: it is cleaned and cut.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{cleaned('.'.join(map(str, first['loc'])), 40)}.{first['type']}"


def response_schema(symbols: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a reply, in the subset that providers understand alike (research: llm.md 1.1).

    Every property is required and nullable where it may be absent, no bounds: those are checked here.
    """
    amount = {"type": ["number", "null"]}
    item: dict[str, Any] = {
        "coin": {"type": "string", "enum": list(symbols)},
        "signal": {"type": "string", "enum": [action.value for action in Action]},
        "quantity": amount,
        "profit_target": amount,
        "stop_loss": amount,
        "invalidation_condition": {"type": "string"},
        "leverage": {"type": ["integer", "null"]},
        "confidence": {"type": "number"},
        "risk_usd": amount,
        "justification": {"type": "string"},
        "check": {"type": "string", "description": CHECK_HINT},
    }
    return _closed({"decision_id": {"type": "string"}, "decisions": {"type": "array", "items": _closed(item)}})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }
