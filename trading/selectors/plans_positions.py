"""What will be done to a position or an order when somebody presses a button of it. None for what is not there."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from accounts.models import Account
from marketdata.models import Instrument
from marketdata.selectors import specs_of
from trading.domain.orders import FINAL
from trading.models import Order, Position
from trading.selectors.plans import Plan, told, version_of, worth
from trading.selectors.standing import PositionLine, line_from, rules_from, with_market, with_rules
from trading.templatetags.figures import exact, price, quantity, share, signed


def close(account: Account, subject: int) -> Plan | None:
    position = _position(account, subject)
    if position is None:
        return None
    line, name = line_from(position), f"{position.symbol} {position.side}"
    over = f"{name} was closed already." if position.closed else ""
    return Plan(
        act="close",
        account=account,
        row=position,
        title=f"Close {position.symbol}?",
        says=over or f"Close {worth([line])} at market, reduce-only, until {account.venue} shows it flat.",
        lines=() if over else (told(line),),
        after="Its stop and its target are cancelled afterwards. The bot may open it again at its next decision.",
        button=f"Close {position.symbol}",
        blocked=over,
        version=version_of(account, position),
    )


def held_on(account: Account) -> list[PositionLine]:
    """Return what is open on an account at the present mark. One query."""
    held = Position.objects.filter(account=account, closed__isnull=True).order_by("symbol")
    return [line_from(row) for row in with_market(held, account)]


def close_all(account: Account, lines: list[PositionLine] | None = None) -> Plan:
    """Say what closing everything does; with `lines`, what `held_on` has read already."""
    lines = held_on(account) if lines is None else lines
    return Plan(
        act="close-all",
        account=account,
        title="Close all positions?",
        says=f"Close {worth(lines)} at market, reduce-only, until {account.venue} shows each flat."
        if lines
        else "Nothing is open: there is nothing to close.",
        lines=tuple(told(line) for line in lines),
        after="All that is open when you press is closed. Bots go on deciding: to stop everything, halt the account.",
        button=f"Close {len(lines)} position{'' if len(lines) == 1 else 's'}",
        blocked="" if lines else "flat",
        version=version_of(account, *(line.position for line in lines)),
    )


def move(account: Account, subject: int, what: str, to: Decimal | None) -> Plan | None:
    position = _position(account, subject)
    if position is None:
        return None
    line, to = line_from(position), None if to is None else _on_tick(account, position.symbol, to)
    stands: Decimal | None = getattr(position, what)
    over = (
        f"{position.symbol} {position.side} was closed already: there is no {what} to move." if position.closed else ""
    )
    return Plan(
        act=f"move-{what}",
        account=account,
        row=position,
        title=f"Move the {what} of {position.symbol}?",
        says=over or _moving(line, what, stands, to),
        lines=() if over else (told(line), *_liquidation(line)),
        after="" if to is None else _kept(what),
        button=f"Move the {what}",
        blocked=over,
        wants=frozenset({"price"}),
        price=to,
        hint="" if stands is None else exact(stands).replace(",", ""),
        version=version_of(account, position, to),
    )


def _moving(line: PositionLine, what: str, stands: Decimal | None, to: Decimal | None) -> str:
    tick, position = line.rules.tick, line.position
    now = f"at {price(stands, tick)}" if stands is not None else "not set"
    if to is None:
        return f"The {what} of {position.symbol} is {now}. Where shall it be?"
    sign = 1 if position.side == Position.Side.LONG else -1
    result = (to - position.entry_price) * position.quantity * sign
    said = f"Move the {what} of {position.symbol} from {price(stands, tick)} to {price(to, tick)}"
    said += f": reached there, the position ends with {signed(result)} USDT before fees"
    if stands is not None and stands != to:
        said += f", at the {what} of now with {signed((stands - position.entry_price) * position.quantity * sign)}"
    if line.mark:
        away = (line.mark - to) / line.mark * sign * (1 if what == "stop" else -1)
        said += f". That is {share(abs(away))} from the mark price {price(line.mark, tick)}"
        said += ", on the wrong side of it: it will be refused" if away <= 0 else ""
    return f"{said}."


def _on_tick(account: Account, symbol: str, to: Decimal) -> Decimal:
    """Round a price as moving it does: what is shown is what will be sent."""
    spec = specs_of(Instrument.objects.filter(venue=account.market, symbol=symbol)).get(symbol)
    return to if spec is None else spec.price_near(to)


def _kept(what: str) -> str:
    return "The new stop stands before the old one goes." if what == "stop" else "The stop stays where it is."


def _liquidation(line: PositionLine) -> Iterable[str]:
    if line.liquidation is not None:
        yield f"Liquidation is near {price(line.liquidation, line.rules.tick)}, {share(line.to_liquidation)} from the mark."


def _position(account: Account, subject: int) -> Position | None:
    found: Position | None = with_market(Position.objects.filter(account=account, pk=subject), account).first()
    return found


# -- orders --------------------------------------------------------------------------------------------------------------


def cancel(account: Account, subject: int) -> Plan | None:
    order: Order | None = with_rules(Order.objects.filter(account=account, pk=subject), account.market).first()
    if order is None:
        return None
    at, rules = order.trigger or order.price, rules_from(order)
    size = "the whole position" if order.close_position else quantity(order.quantity, rules.step)
    name = f"the {order.role} of {order.symbol}: {order.side.lower()} {size} at {price(at, rules.tick)}"
    blocked = f"It is over already: {order.get_state_display()}{f', {order.reason}' if order.reason else ''}." if order.state in FINAL else _needed(order)  # fmt: skip
    after = "The position goes on without a target. Its stop stays." if order.role == Order.Role.TARGET else ""
    return Plan(
        act="cancel",
        account=account,
        row=order,
        title=f"Cancel the {order.role} of {order.symbol}?",
        says=blocked or f"Cancel {name}.",
        after="" if blocked else after,
        button="Cancel the order",
        blocked=blocked,
        version=version_of(account, order),
    )


def _needed(order: Order) -> str:
    if order.role == Order.Role.STOP:
        return "A stop protects its position and is not cancelled: move it, or close the position."
    return "A close is not cancelled: nothing holds it up." if order.role == Order.Role.CLOSE else ""
