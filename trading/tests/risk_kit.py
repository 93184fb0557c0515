"""One market, one account and one clean entry, of which the tests of risk change what they are about.

ETHUSDT stands at bid 99.8, mark 99.9, ask 100; the account has 10,000; the entry buys 1 with a stop at 98.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from accounts.domain.limits import Limits
from decisions.domain.portfolio import Portfolio, PositionView, WorkingOrder
from decisions.domain.proposal import Action, Proposal, Ruling, Side
from decisions.domain.question import BotView
from marketdata.domain.instruments import Bracket, InstrumentSpec
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote, SymbolView
from trading.domain.history import Ended, History
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
LIMITS = Limits(max_spread=D("0.003"))
"""The defaults, but for a spread that the usual market keeps within."""
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
    """Return a position that was entered at `mark` a day ago, without margin unless it is given."""
    size, price = D(quantity), D(mark)
    given = {"leverage": 5, "unrealised": D(0), "margin": D(0), "opened_at": AT - timedelta(days=1), **more}
    return PositionView(symbol, side, size, **{"entry_price": price, "mark_price": price, **given})


def ago(minutes: float) -> datetime:
    """Return the moment so many minutes before that of the market."""
    return AT - timedelta(minutes=minutes)


def ended(net: str | Decimal, *, at: float, symbol: str = ETH, side: Side = Side.LONG, held: float = 60) -> Ended:
    """Return a position that ended `at` minutes ago after `held` minutes, with this result."""
    return Ended(symbol, side, ago(at + held), ago(at), D(net))


def book(*levels: tuple[str, str], side: Side = Side.LONG) -> Depth:
    """Return an order book with these levels, price and quantity, on the side that an entry of `side` crosses."""
    read = tuple((D(price), D(quantity)) for price, quantity in levels)
    return Depth(ETH, AT, bids=() if side is Side.LONG else read, asks=read if side is Side.LONG else ())


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
        limits=LIMITS if limits is None else limits,
        bot=bot,
        standing=Standing() if standing is None else standing,
    )


def rule_row(given: Mapping[str, Any]) -> Ruling:
    """Rule on one row of the table: `given` holds what differs, as "part.field": value, amounts written as text."""
    parts = _parts(given)
    proposal = _changed(LONG, parts["proposal"])
    symbol = proposal.symbol
    spec = _changed(replace(INSTRUMENT, symbol=ETH), parts["instrument"])
    depth = {
        side: tuple(tuple(_value("", each) for each in level) for level in levels)
        for side, levels in parts["book"].items()
    }
    eth = SymbolView(
        ETH,
        spec,
        _changed(QUOTE, parts["quote"]),
        {},
        problem=parts["market"].get("problem"),
        depth=Depth(ETH, AT, depth.get("bids", ()), depth.get("asks", ())) if depth else None,
    )
    snapshot = market(eth)
    if parts["market"].get("missing"):
        snapshot = replace(snapshot, symbols={name: seen for name, seen in snapshot.symbols.items() if name != symbol})
    portfolio = replace(
        _changed(PORTFOLIO, parts["account"]),
        positions=tuple(map(_position, given.get("positions", ()))),
        orders=tuple(map(_order, given.get("orders", ()))),
    )
    history = History(opened=tuple(map(ago, given.get("opened", ()))), ended=tuple(map(_ended, given.get("ended", ()))))
    closes = [Proposal(symbol, Action.CLOSE)] if given.get("reversal") else []
    *_, ruling = rule(
        *closes,
        proposal,
        snapshot=snapshot,
        portfolio=portfolio,
        limits=_changed(LIMITS, parts["limits"]),
        bot=_changed(BOT, parts["bot"]),
        standing=Standing(**{"history": history, **parts["standing"]}),
    )
    return ruling


PARTS = ("proposal", "quote", "instrument", "market", "book", "account", "limits", "bot", "standing")
WHOLE = ("positions", "orders", "opened", "ended", "reversal")
TEXTS = {"symbol", "state", "status", "group", "problem", "name", "model", "bot", "sides", "asset_class"}
TEXTS |= {"contract_type", "history"}


def _parts(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for key, value in given.items():
        if key in WHOLE:
            continue
        part, _, name = key.partition(".")
        parts[part][name] = _value(name, value)
    return parts


def _value(name: str, value: Any) -> Any:
    if name == "action":
        return Action(value)
    if name == "next_funding_at":
        return AT + timedelta(minutes=value) if isinstance(value, int) else value
    if isinstance(value, str) and value.startswith("text "):
        return value.removeprefix("text ")
    if name == "brackets":
        return tuple(Bracket(D(floor), D(cap), leverage, D(rate), D(cum)) for floor, cap, leverage, rate, cum in value)
    return D(value) if isinstance(value, str) and name not in TEXTS else value


def _changed[T](what: T, changes: Mapping[str, Any]) -> T:
    names = {field.name for field in fields(what)}  # type: ignore[arg-type]
    assert set(changes) <= names, f"no such field: {set(changes) - names}"
    return replace(what, **changes)  # type: ignore[type-var]


def _position(text: str) -> PositionView:
    """Read "long BTCUSDT 80 @ 100", with any of "stop 98", "target 104", "entry 95", "lever 3" and "open 10" behind it.

    The last is how many minutes it has been open.
    """
    side, symbol, quantity, at, mark, *more = text.split()
    assert at == "@"
    told = dict(zip(more[::2], more[1::2], strict=True))
    given: dict[str, Any] = {name: D(told[name]) for name in ("stop", "target") if name in told}
    if "entry" in told:
        given["entry_price"] = D(told["entry"])
    if "lever" in told:
        given["leverage"] = int(told["lever"])
    if "open" in told:
        given["opened_at"] = None if told["open"] == "unknown" else ago(float(told["open"]))
    return position(symbol, Side(side), quantity, mark, **given)


def _ended(text: str) -> Ended:
    """Read "long ETHUSDT -5 20 after 60": its result, how many minutes ago it ended, how many it was open."""
    side, symbol, net, at, after, held = text.split()
    assert after == "after"
    return ended(net, at=float(at), symbol=symbol, side=Side(side), held=float(held))


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
