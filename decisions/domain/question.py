"""What a decider is asked, what comes back, and what that says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from accounts.domain.limits import Limits
from decisions.domain.portfolio import Portfolio
from decisions.domain.proposal import Proposal
from marketdata.domain.snapshot import MarketSnapshot
from vibex.lib.records import record


@record()
class Prompt:
    """Text to the model: a constant part, that providers may cache, and the changing part."""

    system: str
    user: str
    template: str
    digest: str
    """sha256 of both texts and the template's name, hex."""


@record()
class Asking:
    """How the models of a bot are asked."""

    effort: str = "low"
    """Of reasoning: none, minimal, low, medium, high, xhigh or max. Always sent."""
    temperature: Decimal | None = None
    """None: not sent, the model's own."""
    max_tokens: int = 4_000
    """Of reasoning and reply together. Always sent."""
    layout: str = "arena"
    """Of the market in the prompt: arena or compact."""
    served: tuple[str, ...] = ()
    """Names, besides its own, under which the model may answer."""
    ensemble: tuple[str, ...] = ()
    """Models that are asked at once together with the bot's own."""
    ensemble_rule: str = "majority"
    """What entries need then: majority or unanimous."""
    shadows: tuple[str, ...] = ()
    """Models that are asked the same, and only recorded."""


@record()
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
    asking: Asking = field(default_factory=Asking)


@record()
class Feedback:
    """What became of an earlier proposal: said again in the next prompt."""

    at: datetime
    symbol: str
    action: str
    verdict: str
    reasons: tuple[str, ...]
    times: int = 1
    """How often it was refused for the same rules lately; `at` and `reasons` are those of the last time."""


@record()
class Outside:
    """A text that somebody outside wrote. It is shown fenced and labelled: nothing in it is an instruction."""

    source: str
    text: str
    at: datetime


@record()
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
    outside: tuple[Outside, ...] = ()
    """Texts from outside, oldest first; empty where the bot may not be shown any."""
    prompt: Prompt | None = None
    """Present when the decider wants one."""
    prompt_without_outside: Prompt | None = None
    """The same without any text from outside: for a server that refused the first because of such a text."""


class Outcome(StrEnum):
    """How an ask ended."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    """Unreachable, refused, late or empty: the bot holds."""
    REJECTED = "rejected"
    """Something came back that is not a valid reply: the bot holds."""
    NOT_ASKED = "not_asked"
    """There was nothing to decide on: nobody was asked, nothing was paid, the bot holds."""


@record()
class Usage:
    """Tokens and money of one ask. `cost` in US dollars; None when nobody said."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal | None = None
    reasoning_tokens: int = 0
    """Among those of the reply."""
    cached_tokens: int = 0
    """Among those of the prompt."""


@record()
class Attempt:
    """One request to one model and what came of it: a rung of the ladder, kept whole."""

    provider: str
    model: str
    """As its provider names it."""
    prompt: Prompt
    """What was really sent: a question that is asked again says why."""
    outcome: Outcome
    reason: str = ""
    """Why it is of no use, a code first; "" for the one that is used."""
    raw: bytes = b""
    http_status: int | None = None
    """None when there was no answer of HTTP."""
    model_served: str = ""
    finish_reason: str = ""
    generation_id: str = ""
    reasoning: str = ""
    usage: Usage = Usage()
    estimate: Decimal | None = None
    """US dollars that it counts as while `usage.cost` is unknown. None when nothing can have been spent."""
    latency: float = 0.0
    """Seconds."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """What was sent besides the prompt: format, effort, temperature, max_tokens."""
    late: Late | None = None
    """Present while a reply may still come after the deadline."""


class Late(Protocol):
    """A request that was given up at its deadline, and may still be answered, and paid for."""

    def when_answered(self, book: Callable[[Attempt], None]) -> None:
        """Call `book` with the reply, from a thread of its own, when it comes within a minute. Never acted on."""
        ...


@record()
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
    usage: Usage = Usage()
    latency: float = 0.0
    """Seconds of wall time."""
    reason: str = ""
    """Why there is no usable answer; a code followed by words, never a secret."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Reasoning per symbol or "" for all, for the diary."""
    attempts: tuple[Attempt, ...] = ()
    """Every request that was made for it, in order; the last is the one that is read."""
    members: tuple[Member, ...] = ()
    """The answers of several models that decide together; `proposals` is then what they agree on."""
    shadows: Callable[[], tuple[Member, ...]] | None = None
    """Waits for the models that are only compared, at most until the deadline, and returns what they said."""


@record()
class Reading:
    """What an answer says. With an `outcome` other than ANSWERED there are no proposals: everything holds."""

    outcome: Outcome
    proposals: tuple[Proposal, ...] = ()
    reason: str = ""
    held: Mapping[str, str] = field(default_factory=dict)
    """Symbols whose part of the reply was not usable, with the reason code of each."""


@record()
class Member:
    """One of several models that were asked the same, with what its answer says."""

    model: str
    answer: Answer
    reading: Reading
    overdue: Callable[[Callable[[Answer], None]], None] | None = None
    """Present where it was not back when the time was up: calls what it is given with its answer, when that comes."""
