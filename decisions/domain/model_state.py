"""What is known of the model that a bot names, in words for a person. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from decisions.domain.catalogue import takes_schema
from decisions.domain.presets import retired, successor_of
from decisions.domain.providers import RULES

SOON_DAYS: Final = 14
"""A model that is switched off within so many days is warned of."""


class Kind(StrEnum):
    """What a model's name stands for."""

    RULES = "rules"
    KNOWN = "known"
    UNREAD = "unread"
    """No catalogue of its provider has been read."""
    UNKNOWN = "unknown"
    EXPIRING = "expiring"
    GONE = "gone"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a catalogue says of one model."""

    context: int | None = None
    max_output: int | None = None
    input_price: Decimal | None = None
    output_price: Decimal | None = None
    supported: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    expires: date | None = None
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model's name, what it stands for, and what to tell a person of it."""

    name: str
    kind: Kind
    words: str = ""
    """A sentence; empty where there is nothing to say."""
    successor: str = ""
    """The name to use instead. Nothing is ever asked of it unless somebody chooses it."""
    facts: Facts | None = None

    @property
    def warns(self) -> bool:
        """Whether a person should look after it."""
        return self.kind in (Kind.UNKNOWN, Kind.EXPIRING, Kind.GONE, Kind.RETIRED)

    @property
    def schema(self) -> bool | None:
        """Whether it takes a JSON schema; None when nobody says."""
        return takes_schema(self.facts.supported) if self.facts else None


def judge(name: str, facts: Facts | None, *, read_at: datetime | None, today: date) -> ModelState:
    """Return what is known of a model. `facts` is its row in the catalogue, `read_at` when that was last read whole."""
    provider, _, model = name.partition("/")
    if provider == RULES:
        return ModelState(name, Kind.RULES)
    if (gone := retired(name)) is not None:
        successor = successor_of(name) or ""
        when = "is retired since" if gone.since <= today else "retires on"
        words = f"{name} {when} {gone.since:%d %B %Y} ({gone.note}). Use {successor} instead."
        return ModelState(name, Kind.RETIRED, words, successor, facts)
    if facts is None:
        return _unlisted(name, provider, model, read_at)
    if facts.gone_at is not None:
        words = f"{provider} has not listed {model} since {facts.gone_at:%d %B %Y}: choose another model."
        return ModelState(name, Kind.GONE, words, facts=facts)
    if facts.expires is not None and (left := (facts.expires - today).days) <= SOON_DAYS:
        if left < 0:
            words = f"{name} was switched off on {facts.expires:%d %B %Y}: choose another model."
            return ModelState(name, Kind.GONE, words, facts=facts)
        when = {0: "today", 1: "tomorrow"}.get(left, f"in {left} days")
        words = f"{name} is switched off on {facts.expires:%d %B %Y}, {when}: choose another model."
        return ModelState(name, Kind.EXPIRING, words, facts=facts)
    return ModelState(name, Kind.KNOWN, facts=facts)


def _unlisted(name: str, provider: str, model: str, read_at: datetime | None) -> ModelState:
    if read_at is None:
        return ModelState(name, Kind.UNREAD, f"The catalogue of {provider} has not been read yet.")
    words = f"{provider} does not list {model} (catalogue of {read_at:%d %B %Y %H:%M} UTC)."
    return ModelState(name, Kind.UNKNOWN, words)


def price_text(facts: Facts | None) -> str:
    """Return the price in words, "" where it is not known."""
    if facts is None or facts.input_price is None or facts.output_price is None:
        return ""
    return f"${plain(facts.input_price)} in, ${plain(facts.output_price)} out per million"


def described(facts: Facts | None) -> str:
    """Return price, context, end and schema in one line, as the choices of a form show it."""
    if facts is None:
        return ""
    schema = {True: "takes a schema", False: "takes no schema", None: ""}[takes_schema(facts.supported)]
    context = f"context {short(facts.context)}" if facts.context else ""
    ends = f"ends {facts.expires:%d %b %Y}" if facts.expires else ""
    return " · ".join(part for part in (price_text(facts), context, ends, schema) if part)


def plain(number: Decimal) -> str:
    """Return a decimal without trailing zeros."""
    return f"{number.normalize():f}"


def short(tokens: int) -> str:
    """Return a number of tokens as models are spoken of: 200k, 1.05M."""
    if tokens >= 1_000_000:
        return f"{tokens / 1_000_000:.2f}".rstrip("0").rstrip(".") + "M"
    return f"{tokens // 1000}k" if tokens >= 10_000 else str(tokens)
