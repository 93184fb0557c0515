"""What happens in trading that its owner is told of: fills, stops that were hit, refusals, stale data, a silent model.

Each is one call from where it happens. Nothing here ever undoes or holds up what it tells of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import takewhile
from typing import Final

from accounts.domain.alerts import EventType, Severity
from accounts.services.alerts import alert_raise, never_in_the_way
from decisions.domain.question import Outcome
from decisions.models import Cycle, Decision, Interaction
from trading.domain.orders import OrderFacts, OrderState
from trading.domain.venue import SETTLED_IN
from trading.models import Order, Position

REFUSALS: Final = 5
"""Entries refused in a row of which the owner is told."""
SILENCES: Final = 3
"""Asks in a row without a usable answer of which the owner is told."""
CENT: Final = Decimal("0.01")
OPENS: Final = ("buy_to_enter", "sell_to_enter")
STOPPED: Final = "stop"
TOLD_ELSEWHERE: Final = ("liquidation", "adl")
"""Ends of a position that are incidents."""


@never_in_the_way
def entry_tell(order: Order, before: OrderFacts, after: OrderFacts) -> None:
    """Tell of an entry that ended with something filled, once, however many pieces it came in."""
    ours = order.role == Order.Role.ENTRY and order.origin == Order.Origin.OURS
    if not ours or not _ended_filled(after) or _ended_filled(before):
        return
    price = "" if after.average_price is None else f" at {after.average_price.normalize():f}"
    side = "Bought" if order.side == "BUY" else "Sold"
    alert_raise(
        account=order.account,
        bot=order.bot,
        type=EventType.FILL,
        severity=Severity.INFO,
        subject=f"{order.symbol} {order.client_order_id}",
        message=f"{side} {after.filled.normalize():f} {order.symbol}{price}.",
    )


@never_in_the_way
def exit_tell(position: Position) -> None:
    """Tell of a position of a bot that ended: by its stop, or otherwise."""
    if position.bot is None or position.exit_reason in TOLD_ELSEWHERE:
        return
    hit = position.exit_reason == STOPPED
    result = (position.realised - position.fees + position.funding).quantize(CENT)
    price = "" if position.exit_price is None else f" at {position.exit_price.normalize():f}"
    alert_raise(
        account=position.account,
        bot=position.bot,
        type=EventType.STOP_HIT if hit else EventType.FILL,
        severity=Severity.WARNING if hit else Severity.INFO,
        subject=f"{position.symbol} position {position.pk}",
        message=f"{position.symbol} {position.side} was closed{price} ({position.exit_reason}): "
        f"{result:+f} {SETTLED_IN} after fees and funding.",
    )


@never_in_the_way
def refusals_tell(cycle: Cycle, decisions: Sequence[Decision]) -> None:
    """Tell, once per streak, that the entries of a bot are refused one after the other."""
    fresh = sum(_refused(each) for each in decisions)
    if not fresh:
        return
    entries = Decision.objects.filter(bot=cycle.bot_id, kind=Decision.Kind.LIVE, action__in=OPENS)
    newest = entries.order_by("-pk")[: REFUSALS + len(decisions)]
    streak = list(takewhile(_refused, newest))
    if not len(streak) - fresh < REFUSALS <= len(streak):
        return
    why = " ".join(str(hit.get("text", "")) for hit in streak[0].hits) or "no reason was kept"
    alert_raise(
        account=cycle.account,
        bot=cycle.bot,
        type=EventType.REFUSAL_STREAK,
        severity=Severity.WARNING,
        subject=cycle.bot.name,
        message=f"The last {len(streak)} entries of {cycle.bot.name} were refused. The last one, {streak[0].symbol}: {why}",
    )


@never_in_the_way
def data_tell(cycle: Cycle, seen: Mapping[str, Mapping[str, object]]) -> None:
    """Tell of symbols that a bot holds because of their data, once until they are fresh again."""
    held = {symbol: view["problem"] for symbol, view in seen.items() if view.get("problem")}
    if not held:
        return
    looks = Cycle.objects.filter(bot=cycle.bot_id).exclude(pk=cycle.pk).exclude(seen={})
    before = looks.order_by("-began", "-pk").values_list("seen", flat=True).first() or {}
    for symbol, problem in held.items():
        if not before.get(symbol, {}).get("problem"):
            alert_raise(
                account=cycle.account,
                bot=cycle.bot,
                type=EventType.DATA_STALE,
                severity=Severity.WARNING,
                subject=symbol,
                message=f"{cycle.bot.name} opens nothing on {symbol} until its data is good again: {problem}.",
            )


@never_in_the_way
def model_tell(cycle: Cycle, interaction: Interaction) -> None:
    """Tell, once until it answers again, that a model gives no usable answer. Of several that decide together, each is told of."""
    if interaction.outcome == Outcome.ANSWERED.value:
        return
    together = interaction.purpose == Interaction.Purpose.ENSEMBLE
    asks = Interaction.objects.filter(bot=cycle.bot_id, purpose=interaction.purpose, used=True, late_of=None)
    if together:
        asks = asks.filter(provider=interaction.provider, model_requested=interaction.model_requested)
    silent = list(takewhile(_unanswered, asks.order_by("-pk")[: SILENCES + 1]))
    if len(silent) != SILENCES:
        return
    follows = "it counts as one that does not agree" if together else f"{cycle.bot.name} holds"
    alert_raise(
        account=cycle.account,
        bot=cycle.bot,
        type=EventType.MODEL_FAILING,
        severity=Severity.ERROR,
        subject=interaction.model_requested,
        message=f"{interaction.model_requested} gave no usable answer {SILENCES} times in a row, and {follows}. "
        f"The last time: {interaction.reason or interaction.outcome}. What is open keeps its protection.",
    )


def _unanswered(interaction: Interaction) -> bool:
    return interaction.outcome != Outcome.ANSWERED.value


def _ended_filled(facts: OrderFacts) -> bool:
    return facts.state is OrderState.DONE and facts.filled > 0


def _refused(decision: Decision) -> bool:
    return decision.action in OPENS and decision.verdict == "refused"
