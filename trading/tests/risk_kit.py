"""One market, one account and one clean entry, of which the tests of risk change what they are about.

ETHUSDT stands at bid 99.8, mark 99.9, ask 100; the account has 10,000; the entry buys 1 with a stop at 98.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from accounts.domain.limits import Limits
from decisions.domain.portfolio import Portfolio, PositionView, WorkingOrder
from decisions.domain.proposal import Action, Proposal, Ruling, Side
from decisions.domain.question import BotView
from marketdata.domain.instruments import Bracket, InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote, SymbolView
from trading.domain.risk import Standing, rule_all

D = Decimal
AT = datetime(2025, 10, 10, 12, tzinfo=UTC)
ETH, BTC, GOLD = "ETHUSDT", "BTCUSDT", "XAUUSDT"

INSTRUMENT = InstrumentSpec(
    venue="sim",
    symbol=ETH,
    base="ETH",
    quote="USDT",
    tick_size=D("0.01"),
    step_size=D("0.01"),
    min_quantity=D("0.01"),
    max_quantity=D(1000),
    min_notional=D(5),
    taker_fee=D("0.0005"),
)
QUOTE = Quote(ETH, AT, last=D("99.9"), bid=D("99.8"), ask=D(100), mark=D("99.9"))
PORTFOLIO = Portfolio(AT, wallet=D(10_000), unrealised=D(0), margin=D(0), available=D(10_000))
BOT = BotView("bot", "rules/trend", (ETH, BTC, GOLD), "3m", ("3m",))
LONG = Proposal(ETH, Action.BUY, quantity=D(1), leverage=5, stop_loss=D(98))
SHORT = Proposal(ETH, Action.SELL, quantity=D(1), leverage=5, stop_loss=D(102))


def view(symbol: str = ETH, *, group: str = "crypto", **quote: Any) -> SymbolView:
    """Return a symbol at the usual prices."""
    instrument = replace(INSTRUMENT, symbol=symbol, base=symbol[:-4], group=group)
    return SymbolView(symbol, instrument, replace(QUOTE, symbol=symbol, **quote), {})


def market(*views: SymbolView) -> MarketSnapshot:
    """Return a market of ETHUSDT and BTCUSDT in one group and gold in another, with these views put over it."""
    usual = (view(ETH), view(BTC), view(GOLD, group="metals"))
    return MarketSnapshot("sim", AT, {seen.symbol: seen for seen in (*usual, *views)})


def position(
    symbol: str, side: Side, quantity: str | Decimal, mark: str | Decimal = "100", **more: Any
) -> PositionView:
    """Return an open position that was entered at `mark`, without margin unless it is given."""
    size, price = D(quantity), D(mark)
    given = {"leverage": 5, "unrealised": D(0), "margin": D(0), **more}
    return PositionView(symbol, side, size, entry_price=price, mark_price=price, **given)


def rule(
    *proposals: Proposal,
    snapshot: MarketSnapshot | None = None,
    portfolio: Portfolio = PORTFOLIO,
    limits: Limits | None = None,
    bot: BotView = BOT,
    standing: Standing | None = None,
) -> tuple[Ruling, ...]:
    """Rule on the proposals, in the usual market unless another is given."""
    return rule_all(
        proposals,
        snapshot=market() if snapshot is None else snapshot,
        portfolio=portfolio,
        limits=Limits() if limits is None else limits,
        bot=bot,
        standing=Standing() if standing is None else standing,
    )


def rule_row(given: Mapping[str, Any]) -> Ruling:
    """Rule on one row of the table: `given` holds what differs, as "part.field": value, amounts written as text."""
    parts = _parts(given)
    proposal = _changed(LONG, parts["proposal"])
    symbol = proposal.symbol
    spec = _changed(replace(INSTRUMENT, symbol=ETH), parts["instrument"])
    eth = SymbolView(ETH, spec, _changed(QUOTE, parts["quote"]), {}, problem=parts["market"].get("problem"))
    snapshot = market(eth)
    if parts["market"].get("missing"):
        snapshot = replace(snapshot, symbols={name: seen for name, seen in snapshot.symbols.items() if name != symbol})
    portfolio = replace(
        _changed(PORTFOLIO, parts["account"]),
        positions=tuple(map(_position, given.get("positions", ()))),
        orders=tuple(map(_order, given.get("orders", ()))),
    )
    [ruling] = rule(
        proposal,
        snapshot=snapshot,
        portfolio=portfolio,
        limits=_changed(Limits(), parts["limits"]),
        bot=_changed(BOT, parts["bot"]),
        standing=Standing(**parts["standing"]),
    )
    return ruling


PARTS = ("proposal", "quote", "instrument", "market", "account", "limits", "bot", "standing")
TEXTS = {"symbol", "state", "status", "group", "problem", "name", "model"}


def _parts(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for key, value in given.items():
        if key in ("positions", "orders"):
            continue
        part, _, name = key.partition(".")
        parts[part][name] = _value(name, value)
    return parts


def _value(name: str, value: Any) -> Any:
    if name == "action":
        return Action(value)
    if name == "brackets":
        return tuple(Bracket(D(floor), D(cap), leverage, D(rate), D(cum)) for floor, cap, leverage, rate, cum in value)
    return D(value) if isinstance(value, str) and name not in TEXTS else value


def _changed[T](what: T, changes: Mapping[str, Any]) -> T:
    names = {field.name for field in fields(what)}  # type: ignore[arg-type]
    assert set(changes) <= names, f"no such field: {set(changes) - names}"
    return replace(what, **changes)  # type: ignore[type-var]


def _position(text: str) -> PositionView:
    """Read "long BTCUSDT 80 @ 100"."""
    side, symbol, quantity, at, mark = text.split()
    assert at == "@"
    return position(symbol, Side(side), quantity, mark)


def _order(text: str) -> WorkingOrder:
    """Read "BUY LIMIT ETHUSDT", with "reduce" or "close" behind it."""
    side, type_, symbol, *more = text.split()
    known: Sequence[str] = ("reduce", "close")
    assert set(more) <= set(known)
    return WorkingOrder(
        symbol,
        "x1",
        role=None,
        side=side,
        type=type_,
        quantity=D(1),
        reduce_only="reduce" in more,
        close_position="close" in more,
    )
