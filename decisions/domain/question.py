"""What a decider is asked, what comes back, and what that says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from accounts.domain.limits import Limits
from decisions.domain.portfolio import Portfolio
from decisions.domain.proposal import Proposal
from marketdata.domain.snapshot import MarketSnapshot


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text to the model: a constant part, that providers may cache, and the changing part."""

    system: str
    user: str
    template: str
    digest: str
    """sha256 of both texts and the template's name, hex."""


@dataclass(frozen=True, slots=True)
class BotView:
    """What a decider may know of the bot it decides for."""

    name: str
    model: str
    symbols: tuple[str, ...]
    interval: str
    timeframes: tuple[str, ...]
    fallback_models: tuple[str, ...] = ()
    capital: Decimal | None = None
    prompt_template: str = "arena"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of an earlier proposal: said again in the next prompt."""

    at: datetime
    symbol: str
    action: str
    verdict: str
    reasons: tuple[str, ...]
    times: int = 1
    """How often it was refused for the same rules lately; `at` and `reasons` are those of the last time."""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything a decider is given. `decision_id` must come back with the reply."""

    decision_id: str
    bot: BotView
    snapshot: MarketSnapshot
    portfolio: Portfolio
    limits: Limits
    next_decision_at: datetime
    started_at: datetime
    """When the bot was started (market time)."""
    invocation: int
    """How many times it has been asked before."""
    feedback: tuple[Feedback, ...] = ()
    barred: tuple[str, ...] = ()
    """What bars entries now: locks, loss limits, pauses, with the rule and the time they end."""
    prompt: Prompt | None = None
    """Present when the decider wants one."""


class Outcome(StrEnum):
    """How an ask ended."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    """Unreachable, refused, late or empty: the bot holds."""
    REJECTED = "rejected"
    """Something came back that is not a valid reply: the bot holds."""
    NOT_ASKED = "not_asked"
    """There was nothing to decide on: nobody was asked, nothing was paid, the bot holds."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money of one ask. `cost` in US dollars; None when nobody said."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Either raw bytes of a model, or proposals that need no reading."""

    outcome: Outcome
    raw: bytes = b""
    text: str | None = None
    """Content of the reply's message, taken out of the envelope."""
    proposals: tuple[Proposal, ...] | None = None
    model_requested: str = ""
    model_served: str = ""
    finish_reason: str = ""
    usage: Usage = field(default_factory=Usage)
    latency: float = 0.0
    """Seconds of wall time."""
    reason: str = ""
    """Why there is no usable answer; a code followed by words, never a secret."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Reasoning per symbol or "" for all, for the diary."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says. With an `outcome` other than ANSWERED there are no proposals: everything holds."""

    outcome: Outcome
    proposals: tuple[Proposal, ...] = ()
    reason: str = ""
    held: Mapping[str, str] = field(default_factory=dict)
    """Symbols whose part of the reply was not usable, with the reason code of each."""
