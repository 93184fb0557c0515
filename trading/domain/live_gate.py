"""What has to be so before an account may trade with real money. Facts go in, conditions with their numbers come out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

RECONCILED_WITHIN: Final = timedelta(days=1)
"""Books that were compared longer ago prove nothing of today."""
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Measure:
    """How long an account has to trade on paper, and how much it has to decide there."""

    days: int
    decisions: int


@dataclass(frozen=True, slots=True)
class PaperRecord:
    """What the paper account has done. All times are those of the clock on the wall."""

    name: str
    market: str
    live_prices: bool
    """Whether that market has the venue's own prices as they happen: neither made up nor replayed."""
    first: datetime | None = None
    """When its first cycle began that went through all nine steps."""
    last: datetime | None = None
    """When the last one ended."""
    decisions: int = 0

    @property
    def traded_for(self) -> timedelta:
        """From its first to its last whole cycle."""
        return max(self.last - self.first, timedelta(0)) if self.first and self.last else timedelta(0)


@dataclass(frozen=True, slots=True)
class Compared:
    """The newest comparison of the live account's books with the exchange."""

    at: datetime
    agreed: bool
    left: int = 0


@dataclass(frozen=True, slots=True)
class GateFacts:
    """Everything that the gate looks at."""

    market: str
    """Of the live account."""
    feature_on: bool
    paper: PaperRecord | None
    incidents: tuple[str, ...]
    """Open ones of both accounts, each with the account's name."""
    limits_seen_by: str
    """The person who last changed or confirmed the limits; empty: nobody since they were made or changed by a program."""
    keys_missing: str
    """Why the account cannot sign; empty when it can."""
    compared: Compared | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that has to be so, in words with its numbers, and what to do while it is not."""

    name: str
    met: bool
    text: str
    remedy: str = ""


def conditions_of(facts: GateFacts, measure: Measure, *, now: datetime) -> tuple[Condition, ...]:
    """Return every condition in the order in which a person meets them."""
    return (
        _feature(facts),
        _paper(facts),
        _days(facts.paper, measure),
        _decisions(facts.paper, measure),
        _incidents(facts.incidents),
        _limits(facts.limits_seen_by),
        _keys(facts.keys_missing),
        _compared(facts.compared, now),
    )


def open_of(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Return the conditions that are not met."""
    return tuple(condition for condition in conditions if not condition.met)


def _feature(facts: GateFacts) -> Condition:
    if facts.feature_on:
        return Condition("feature", met=True, text="live trading is switched on")
    return Condition(
        "feature", met=False, text="live trading is switched off", remedy="Set FEATURE_LIVE_TRADING=yes and restart."
    )


def _paper(facts: GateFacts) -> Condition:
    paper = facts.paper
    again = "Make a paper account on live prices of the venue, let it trade, and promote that one."
    if paper is None:
        return Condition("paper", met=False, text="it names no paper account that it was promoted from", remedy=again)
    if not paper.live_prices:
        text = f"{paper.name} trades on {paper.market}, which has no live prices: that proves nothing"
        return Condition("paper", met=False, text=text, remedy=again)
    if paper.market != facts.market:
        text = f"{paper.name} trades on {paper.market}, this account on {facts.market}"
        return Condition("paper", met=False, text=text, remedy=again)
    return Condition(
        "paper", met=True, text=f"promoted from {paper.name}, which trades on live prices of {paper.market}"
    )


def _days(paper: PaperRecord | None, measure: Measure) -> Condition:
    days = paper.traded_for // DAY if paper and paper.live_prices else 0
    text = f"{days} of {measure.days} days on paper"
    return Condition("days", days >= measure.days, text, "Let the paper account go on trading.")


def _decisions(paper: PaperRecord | None, measure: Measure) -> Condition:
    made = paper.decisions if paper and paper.live_prices else 0
    text = f"{made} of {measure.decisions} decisions on paper"
    return Condition("decisions", made >= measure.decisions, text, "Let the paper account go on trading.")


def _incidents(incidents: tuple[str, ...]) -> Condition:
    if not incidents:
        return Condition("incidents", met=True, text="no open incident")
    noun = "incident" if len(incidents) == 1 else "incidents"
    text = f"{len(incidents)} open {noun}: {'; '.join(incidents[:3])}{'; …' if len(incidents) > 3 else ''}"
    return Condition("incidents", met=False, text=text, remedy="Look into each and resolve it.")


def _limits(seen_by: str) -> Condition:
    if seen_by:
        return Condition("limits", met=True, text=f"limits were set or confirmed by {seen_by}")
    remedy = "Change them on the account's page, or confirm them as they are."
    return Condition("limits", met=False, text="limits were never looked at", remedy=remedy)


def _keys(missing: str) -> Condition:
    if not missing:
        return Condition("keys", met=True, text="keys are there")
    return Condition("keys", met=False, text="no usable keys", remedy=missing)


def _compared(compared: Compared | None, now: datetime) -> Condition:
    remedy = "Reconcile the account."
    if compared is None:
        return Condition("compared", met=False, text="books and exchange were never compared", remedy=remedy)
    if not compared.agreed:
        text = f"books and exchange differ: {compared.left} left for a person at {compared.at:%F %H:%M} UTC"
        return Condition("compared", met=False, text=text, remedy="Settle what is left, then reconcile again.")
    if now - compared.at > RECONCILED_WITHIN:
        text = f"books and exchange were last compared at {compared.at:%F %H:%M} UTC, more than a day ago"
        return Condition("compared", met=False, text=text, remedy=remedy)
    return Condition("compared", met=True, text=f"books and exchange agreed at {compared.at:%F %H:%M} UTC")
