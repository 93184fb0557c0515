"""Rules about what is open, or was until now: places, adding, reversing, coming back too soon."""

from __future__ import annotations

from datetime import timedelta
from operator import attrgetter
from typing import Final

from trading.domain.known import known, moment
from trading.domain.risk.case import Ask, Finding, Rule, refuses
from trading.domain.venue import ZERO


@refuses("account.numbers")
def account_numbers(ask: Ask) -> Finding | None:
    """Equity, margin and all open positions are known numbers; equity, and the bot's capital when set, are above zero."""
    held, capital = ask.portfolio, ask.terms.bot.capital
    if not known(held.wallet, held.unrealised, held.margin, held.available):
        return Finding("Equity or margin of the account are not known numbers.")
    if held.positions and (
        unknown := [seen.symbol for seen in held.positions if not known(seen.quantity, seen.mark_price)]
    ):
        return Finding(f"Size or mark price of the position in {', '.join(unknown)} are not known.")
    if held.equity <= ZERO:
        return Finding("There is no equity to risk.", {"equity": held.equity})
    if capital is not None and not (known(capital) and capital > 0):
        return Finding("The capital of the bot is not a number above zero.")
    return None


@refuses("position.exists", "pyramiding")
def position_exists(ask: Ask) -> Finding | None:
    """The symbol has no open position, or one on the same side that `pyramiding` lets it add to."""
    held = ask.held
    if held is None:
        return None
    open_ = {"open": held.quantity}
    if held.side is not ask.proposal.side:
        return Finding(
            f"A {held.side} in {ask.symbol} is open: close it before a {ask.proposal.side} is opened.", open_
        )
    if not ask.limits.pyramiding:
        return Finding(f"A {held.side} in {ask.symbol} is open, and nothing is added to positions here.", open_)
    if not (known(held.entry_price) and held.entry_price > 0 and held.quantity > 0):
        return Finding(f"Size or entry price of the {held.side} in {ask.symbol} are not known.", open_)
    return None


@refuses("hold.reversal", "min_hold_minutes")
def hold_reversal(ask: Ask) -> Finding | None:
    """A position that this decision closes was `min_hold_minutes` old before its symbol is entered again."""
    gone, least = ask.books.closed.get(ask.symbol), ask.limits.min_hold_minutes
    if gone is None or not least:
        return None
    if gone.opened_at is None or not moment(gone.opened_at):
        return Finding(f"Nobody knows since when the {gone.side} in {ask.symbol} was open: it is closed, not reversed.")
    age = ask.at - gone.opened_at
    if age >= timedelta(minutes=least):
        return None
    return Finding(
        f"The {gone.side} in {ask.symbol} was open for {_minutes(age)} minutes; a reversal needs {least}. It is closed.",
        {"minutes": _minutes(age), "limit": least},
    )


@refuses("entry.cooldown", "cooldown_minutes", "min_hold_minutes")
def entry_cooldown(ask: Ask) -> Finding | None:
    """`cooldown_minutes` passed since a position on the symbol ended, unless that is reversed after its minimum hold."""
    if not ask.limits.cooldown_minutes or ask.held is not None:
        return None
    began = ask.at - timedelta(minutes=ask.limits.cooldown_minutes)
    ended = [each for each in ask.books.history.ended if each.ended_at > began and each.symbol == ask.symbol]
    if not ended:
        return None
    last = max(ended, key=attrgetter("ended_at"))
    since = ask.at - last.ended_at
    long_enough = last.ended_at - last.opened_at >= timedelta(minutes=ask.limits.min_hold_minutes)
    if last.side is not ask.proposal.side and long_enough:
        return None
    return Finding(
        f"A {last.side} in {ask.symbol} ended {_minutes(since)} minutes ago; "
        f"the next entry there waits {ask.limits.cooldown_minutes}.",
        {"minutes": _minutes(since), "limit": ask.limits.cooldown_minutes},
    )


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)


@refuses("order.working")
def order_working(ask: Ask) -> Finding | None:
    """No order that could open a position is resting on the symbol."""
    for order in ask.portfolio.orders:
        if order.symbol == ask.symbol and not (order.reduce_only or order.close_position):
            return Finding(f"An order that could open a position rests on {ask.symbol}: cancel it first.")
    return None


@refuses("positions.max", "max_positions")
def positions_max(ask: Ask) -> Finding | None:
    """Fewer positions are open than `max_positions`; what adds to one takes no place of its own."""
    held, most = len(ask.portfolio.positions), ask.limits.max_positions
    if held < most or ask.held is not None:
        return None
    return Finding(f"All {most} places are taken: close a position first.", {"open": held, "limit": most})


HOLDING: Final[tuple[Rule[Ask], ...]] = (
    account_numbers,
    position_exists,
    hold_reversal,
    entry_cooldown,
    order_working,
    positions_max,
)
