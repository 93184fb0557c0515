"""Rules of form: may this be opened at all, and is everything there that an entry needs?"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from accounts.domain.limits import LEVERAGE_CEILING
from decisions.domain.portfolio import WorkingOrder
from marketdata.domain.instruments import Bracket
from marketdata.domain.snapshot import SymbolView
from trading.domain.risk.case import MOST_DIGITS, Ask, Finding, Rule, known, refuses

TRADING: Final = "TRADING"
ACTIVE: Final = "active"


@refuses("account.state")
def account_state(ask: Ask) -> Finding | None:
    """The account is active; one that is reducing or halted opens nothing."""
    if ask.standing.state == ACTIVE:
        return None
    return Finding(f"The account is {ask.standing.state}: positions may only be closed.")


@refuses("symbol.allowed")
def symbol_allowed(ask: Ask) -> Finding | None:
    """The symbol is one of the bot's."""
    if ask.symbol in ask.bot.symbols:
        return None
    return Finding(f"{ask.symbol} is not among the bot's symbols: {', '.join(ask.bot.symbols)}.")


@refuses("instrument.status")
def instrument_status(ask: Ask) -> Finding | None:
    """The market knows the instrument and the venue trades it."""
    status = ask.view.instrument.status if ask.view else "not in the market data"
    return None if status == TRADING else Finding(f"{ask.symbol} cannot be traded now: {status}.")


@refuses("standing.blocked")
def standing_blocked(ask: Ask) -> Finding | None:
    """No lock, incident or unresolved order bars entries on the symbol or on the whole account."""
    reason = ask.standing.blocked.get(ask.symbol) or ask.standing.blocked.get("")
    return Finding(f"Entries on {ask.symbol} are blocked: {reason}.") if reason else None


@refuses("market.problem")
def market_problem(ask: Ask) -> Finding | None:
    """The symbol's data are complete and fresh."""
    problem = ask.view.problem if ask.view else None
    return Finding(f"The market data of {ask.symbol} cannot be relied on: {problem}.") if problem else None


@refuses("market.numbers")
def market_numbers(ask: Ask) -> Finding | None:
    """Every price and every trading rule of the instrument is a known number, and the ask is not below the bid."""
    if ask.view is None:
        return Finding(f"There are no market data of {ask.symbol}.")
    bad = [name for name, value, least in _market_numbers(ask.view) if not known(value) or value < least]
    bad += [] if all(map(_sound, ask.view.instrument.brackets)) else ["margin brackets"]
    if bad:
        return Finding(f"The market data of {ask.symbol} hold no usable {', '.join(bad)}.")
    quote = ask.view.quote
    if quote.ask < quote.bid:
        return Finding("The ask lies below the bid.", {"bid": quote.bid, "ask": quote.ask})
    return None


SOMETHING: Final = Decimal("1e-18")


def _market_numbers(view: SymbolView) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Yield name, value and least allowed value of what an entry is calculated with."""
    quote, spec = view.quote, view.instrument
    for name, value in (("bid", quote.bid), ("ask", quote.ask), ("mark price", quote.mark)):
        yield name, value, SOMETHING
    for name, value in (("tick", spec.tick_size), ("step", spec.step_size), ("maximum quantity", spec.max_quantity)):
        yield name, value, SOMETHING
    for name, value in (
        ("minimum quantity", spec.min_quantity),
        ("minimum notional", spec.min_notional),
        ("fee", spec.taker_fee),
    ):
        yield name, value, Decimal(0)


def _sound(step: Bracket) -> bool:
    return known(step.floor, step.cap, step.cum, step.maintenance_rate) and 0 <= step.maintenance_rate < 1


@refuses("account.numbers")
def account_numbers(ask: Ask) -> Finding | None:
    """Equity, margin and all open positions are known numbers; equity, and the bot's capital when set, are above zero."""
    held, capital = ask.portfolio, ask.bot.capital
    if not known(held.wallet, held.unrealised, held.margin, held.available):
        return Finding("Equity or margin of the account are not known numbers.")
    unknown = [seen.symbol for seen in held.positions if not known(seen.quantity, seen.mark_price)]
    if unknown:
        return Finding(f"Size or mark price of the position in {', '.join(unknown)} are not known.")
    if held.equity <= 0:
        return Finding("There is no equity to risk.", {"equity": held.equity})
    if capital is not None and not (known(capital) and capital > 0):
        return Finding("The capital of the bot is not a number above zero.")
    return None


@refuses("position.exists")
def position_exists(ask: Ask) -> Finding | None:
    """The symbol has no open position: nothing is added to one, and a reversal closes first."""
    position = ask.portfolio.position(ask.symbol)
    if position is None:
        return None
    return Finding(
        f"A {position.side} in {ask.symbol} is open: close it before anything is opened there.",
        {"open": position.quantity},
    )


@refuses("order.working")
def order_working(ask: Ask) -> Finding | None:
    """No order that could open a position is resting on the symbol."""
    resting = [order for order in ask.portfolio.orders if order.symbol == ask.symbol and _could_open(order)]
    if not resting:
        return None
    return Finding(f"An order that could open a position rests on {ask.symbol}: cancel it first.")


def _could_open(order: WorkingOrder) -> bool:
    return not (order.reduce_only or order.close_position)


@refuses("positions.max")
def positions_max(ask: Ask) -> Finding | None:
    """Fewer positions are open than `max_positions`."""
    held, most = len(ask.portfolio.positions), ask.limits.max_positions
    if held < most:
        return None
    return Finding(f"All {most} places are taken: close a position first.", {"open": held, "limit": most})


@refuses("proposal.numbers")
def proposal_numbers(ask: Ask) -> Finding | None:
    """Every number stated is finite and of a size that a market can have."""
    wish = ask.proposal
    stated = {
        "quantity": wish.quantity,
        "stop": wish.stop_loss,
        "target": wish.profit_target,
        "risk_usd": wish.risk_usd,
    }
    bad = [name for name, value in stated.items() if value is not None and not _usable(value)]
    return Finding(f"No market has a number like the {' and the '.join(bad)} given.") if bad else None


def _usable(value: Decimal) -> bool:
    return known(value) and len(value.as_tuple().digits) <= MOST_DIGITS


@refuses("size.missing")
def size_missing(ask: Ask) -> Finding | None:
    """A quantity above zero is stated."""
    quantity = ask.proposal.quantity
    return None if quantity is not None and quantity > 0 else Finding("An entry needs a quantity above zero.")


@refuses("leverage.whole")
def leverage_whole(ask: Ask) -> Finding | None:
    """The leverage is stated as a whole number of at least 1."""
    leverage = ask.proposal.leverage
    if type(leverage) is int and leverage >= 1:  # a bool is an int as well
        return None
    return Finding("An entry needs a leverage that is a whole number of at least 1.")


@refuses("leverage.cap")
def leverage_cap(ask: Ask) -> Finding | None:
    """The leverage is at most the account's, the instrument's, and 10."""
    asked = ask.proposal.leverage or 0
    own = min(ask.limits.max_leverage, LEVERAGE_CEILING)
    most = min(own, ask.view.instrument.max_leverage) if ask.view else own
    if asked <= most:
        return None
    return Finding(f"Leverage {asked} is above the cap of {most}.", {"asked": asked, "limit": most})


@refuses("stop.missing")
def stop_missing(ask: Ask) -> Finding | None:
    """A stop above zero is stated."""
    stop = ask.proposal.stop_loss
    return None if stop is not None and stop > 0 else Finding("An entry needs a stop.")


FORM: Final[tuple[Rule[Ask], ...]] = (
    account_state,
    symbol_allowed,
    instrument_status,
    standing_blocked,
    market_problem,
    market_numbers,
    account_numbers,
    position_exists,
    order_working,
    positions_max,
    proposal_numbers,
    size_missing,
    leverage_whole,
    leverage_cap,
    stop_missing,
)
