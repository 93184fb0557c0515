"""An account of the loopback Hyperliquid: one matching engine, spoken to and told of in the venue's wire format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from marketdata.domain.instruments import Bracket, InstrumentSpec
from marketdata.domain.snapshot import Quote
from trading.domain.matching import Engine, EngineRefusal, EngineSettings, EngineState, MarginMode, OrderRecord
from trading.domain.venue import (
    ZERO,
    Income,
    IncomeKind,
    NewOrder,
    OrderSide,
    OrderType,
    TimeInForce,
    Trade,
    VenueStatus,
)
from vibex.lib.clock import to_ms

Row = dict[str, Any]

LEAST_VALUE: Final = Decimal(10)
FURTHEST: Final = Decimal("0.8")
"""An order lies at most this share away from the reference price."""
MOST_DECIMALS: Final = 6
FIGURES: Final = 5
IN_FORCE: Final = {"Gtc": TimeInForce.GTC, "Ioc": TimeInForce.IOC, "Alo": TimeInForce.GTX}
GONE: Final = "Order was never placed, already canceled, or filled."
NOTHING_THERE: Final = "Order could not immediately match against any resting orders."
REFUSALS: Final = {
    "margin": ("Insufficient margin to place order.", "perpMarginRejected"),
    "reduce_only": ("Reduce only order would increase position.", "reduceOnlyRejected"),
    "would_trigger": ("Invalid TP/SL price.", "badTriggerPxRejected"),
    "leverage": ("Order has exceeded max position size.", "perpMaxPositionRejected"),
    "filter": ("Order has invalid size.", "tickRejected"),
}
"""What the venue says where the engine refuses, and the status that it files the order under."""


@dataclass
class Coin:
    """A perpetual contract, by its number in the list of all."""

    name: str
    size_decimals: int
    most_leverage: int
    price: Decimal
    mark: Decimal | None = None

    def spec(self, fees: tuple[Decimal, Decimal]) -> InstrumentSpec:
        maker, taker = fees
        rate = Decimal(1) / (2 * self.most_leverage)
        step = Decimal(1).scaleb(-self.size_decimals)
        return InstrumentSpec(
            venue="hyperliquid", symbol=self.name, base=self.name, quote="USDC", margin_asset="USDC",
            tick_size=Decimal(1).scaleb(self.size_decimals - MOST_DECIMALS), step_size=step, min_quantity=step,
            max_quantity=Decimal("1e9"), min_notional=ZERO, maker_fee=maker, taker_fee=taker,
            max_leverage=self.most_leverage, liquidation_fee=ZERO,
            brackets=(Bracket(ZERO, Decimal("1e12"), self.most_leverage, rate, ZERO),),
        )  # fmt: skip

    def quote(self, at: datetime) -> Quote:
        return Quote(self.name, at, self.price, self.price, self.price, self.mark or self.price)


@dataclass
class Opened:
    """An account to be opened. Fees are maker and taker, as fractions."""

    user: str
    deposit: Decimal = Decimal(10_000)
    agents: tuple[str, ...] = ()
    fees: tuple[Decimal, Decimal] = (Decimal("0.00015"), Decimal("0.00045"))
    abstraction: str = "disabled"


@dataclass
class Sent:
    """An order as it came, and when."""

    wire: Row
    at_ms: int
    word: str = ""
    """The status that the venue files it under, where it is not the one of the engine."""


@dataclass
class Fault(Exception):
    """The venue says no to one order; `word` is the status that it files it under."""

    text: str
    word: str = "rejected"


class Account:
    """One account. Whoever calls holds the lock of the exchange."""

    def __init__(self, opened: Opened, coins: list[Coin], now: Callable[[], datetime]) -> None:
        self.opened, self.user, self.coins, self.now = opened, opened.user.lower(), coins, now
        self.settings = EngineSettings(margin_mode=MarginMode.CROSS, margin_buffer=ZERO, default_leverage=20)
        self.modes: dict[str, str] = {}
        self.orders: dict[int, OrderRecord] = {}
        self.sent: dict[str, Sent] = {}
        self.refused: dict[str, Row] = {}
        """By cloid, where the exchange remembers what it refused."""
        self.trades: list[Trade] = []
        self.income: list[Income] = []
        self.funding: list[Row] = []
        self.cancel_at: int | None = None
        self.engine = self._engine(EngineState())
        self.engine.deposit(opened.deposit, now())
        self.collect()

    def _engine(self, state: EngineState) -> Engine:
        specs = {coin.name: coin.spec(self.opened.fees) for coin in self.coins}
        return Engine(instruments=specs, settings=self.settings, state=state)

    def collect(self) -> None:
        changes = self.engine.drain()
        self.orders |= {order.exchange_id: order for order in changes.orders}
        self.trades += changes.trades
        self.income += changes.income

    # -- what the market does ------------------------------------------------------------------------------------------

    def look(self, coin: Coin) -> None:
        """Meet the price of a coin, and what time has brought."""
        if self.cancel_at is not None and to_ms(self.now()) >= self.cancel_at:
            self.cancel_at = None
            for order in self.engine.state().orders:
                self._end(order, "scheduledCancel")
        self.engine.on_quote(coin.quote(self.now()))
        self.collect()

    def settle(self, coin: Coin, rate: Decimal) -> None:
        """Pay or receive the funding of an hour."""
        held = next((one.quantity for one in self.engine.state().positions if one.symbol == coin.name), ZERO)
        before = len(self.income)
        self.engine.on_funding(coin.name, rate, coin.mark or coin.price, self.now())
        self.collect()
        for line in self.income[before:]:
            self.funding.append({
                "time": to_ms(line.at), "hash": "0x" + "0" * 64,
                "delta": {
                    "type": "funding", "coin": coin.name, "usdc": text(line.amount), "szi": text(held),
                    "fundingRate": str(rate), "nSamples": None,
                },
            })  # fmt: skip

    # -- what is asked of it -------------------------------------------------------------------------------------------

    def place(self, wire: Row, *, refuses_twice: bool, remembers: bool) -> Row:
        """Take one order and return its status as the venue writes it."""
        number = wire["a"]
        try:
            return self._placed(self.coins[number], wire, refuses_twice=refuses_twice)
        except Fault as fault:
            if remembers and wire.get("c"):
                self.refused[wire["c"]] = {
                    "order": self._row(self.coins[number], wire, 0, wire["s"], to_ms(self.now())),
                    "status": fault.word, "statusTimestamp": to_ms(self.now()),
                }  # fmt: skip
            return {"error": f"{fault.text} asset={number}"}

    def _placed(self, coin: Coin, wire: Row, *, refuses_twice: bool) -> Row:
        cloid = wire.get("c")
        if refuses_twice and cloid and self._open_by_cloid(cloid):
            raise Fault("Duplicate cloid.")
        order = self._order(coin, wire, f"n{len(self.sent)}")
        self._margin_of(coin)
        try:
            report = self.engine.place(order, at=self.now())
        except EngineRefusal as refusal:
            said, word = REFUSALS.get(refusal.code or "", ("No liquidity available for market order.", "rejected"))
            raise Fault(said, word) from refusal
        self.sent[order.client_order_id] = sent = Sent(wire, to_ms(self.now()))
        self.collect()
        named = {"oid": int(report.exchange_id)} | ({"cloid": cloid} if cloid else {})
        if report.status.open:
            return {"resting": named}
        if not report.filled:
            alo = order.time_in_force is TimeInForce.GTX
            sent.word = "badAloPxRejected" if alo else "iocCancelRejected"
            bbo = f"{coin.price}@{coin.price}"
            raise Fault(
                f"Post only order would have immediately matched, bbo was {bbo}." if alo else NOTHING_THERE, sent.word
            )
        return {"filled": {"totalSz": text(report.filled), "avgPx": text(report.average_price or ZERO), **named}}

    def _order(self, coin: Coin, wire: Row, client_id: str) -> NewOrder:
        """Check an order as the venue does before its engine sees it."""
        size, price, kind = Decimal(wire["s"]), Decimal(wire["p"]), wire["t"]
        trigger = kind.get("trigger")
        if not size:
            raise Fault("Order has zero size.")
        if size % Decimal(1).scaleb(-coin.size_decimals) or size < 0:
            raise Fault("Order has invalid size.", "tickRejected")
        for one in (price, *((Decimal(trigger["triggerPx"]),) if trigger else ())):
            if not on_tick(one, coin.size_decimals):
                raise Fault("Price must be divisible by tick size.", "tickRejected")
        reference = coin.mark or coin.price
        if abs(price - reference) > reference * FURTHEST:
            raise Fault("Order price cannot be more than 80% away from the reference price", "oracleRejected")
        held = next((abs(one.quantity) for one in self.engine.state().positions if one.symbol == coin.name), ZERO)
        if size * reference < LEAST_VALUE and not (wire["r"] and size >= held):
            raise Fault("Order must have minimum value of $10.", "minTradeNtlRejected")
        if trigger and not trigger["isMarket"]:
            raise Fault("This test exchange takes only trigger orders that become market orders.")
        side = OrderSide.BUY if wire["b"] else OrderSide.SELL
        if trigger:
            conditional = OrderType.STOP_MARKET if trigger["tpsl"] == "sl" else OrderType.TAKE_PROFIT_MARKET
            at = Decimal(trigger["triggerPx"])
            return NewOrder(client_id, coin.name, side, conditional, size, None, at, None, wire["r"])
        force = IN_FORCE[kind["limit"]["tif"]]
        return NewOrder(client_id, coin.name, side, OrderType.LIMIT, size, price, None, force, wire["r"])

    def cancel(self, number: int, *, oid: int | None = None, cloid: str | None = None) -> Any:
        """Cancel an open order; the status as the venue writes it."""
        order = (
            self._open_by_cloid(cloid) if cloid else next((o for o in self._working() if o.exchange_id == oid), None)
        )
        if order is None or order.symbol != self.coins[number].name:
            return {"error": f"{GONE} asset={number}"}
        self._end(order, "")
        return "success"

    def update_leverage(self, number: int, leverage: int, *, cross: bool) -> str | None:
        """Set leverage and margin of a coin; return why not."""
        coin, wanted = self.coins[number], "cross" if cross else "isolated"
        if not 1 <= leverage <= coin.most_leverage:
            return "Invalid leverage value"
        held = any(one.symbol == coin.name for one in self.engine.state().positions)
        if held and self.mode(coin) != wanted:
            return "Cannot switch leverage type with open position."
        try:
            self.engine.set_leverage(coin.name, leverage)
        except EngineRefusal:
            return "Isolated position does not have sufficient margin available to decrease leverage."
        self.modes[coin.name] = wanted
        return None

    def mode(self, coin: Coin) -> str:
        return self.modes.get(coin.name, "cross")

    def leverage(self, coin: Coin) -> int:
        return self.engine.state().leverages.get(coin.name, min(20, coin.most_leverage))

    # -- how it is told ------------------------------------------------------------------------------------------------

    def clearinghouse(self) -> Row:
        """Return what clearinghouseState says."""
        state = self.engine.account_state(self.now())
        summary = {
            "accountValue": text(state.equity), "totalMarginUsed": text(state.margin + self._in_margin()),
            "totalNtlPos": text(sum((one.quantity * one.mark_price for one in state.positions), ZERO)),
            "totalRawUsd": text(state.wallet),
        }  # fmt: skip
        return {
            "assetPositions": [{"type": "oneWay", "position": self._position(one)} for one in state.positions],
            "crossMaintenanceMarginUsed": "0.0", "crossMarginSummary": summary, "marginSummary": summary,
            "time": to_ms(state.at), "withdrawable": text(state.available),
        }  # fmt: skip

    def open_orders(self) -> list[Row]:
        return [self._told(order) for order in self._working()]

    def status(self, oid: int | str) -> Row:
        """Return what orderStatus says, by number or by cloid: the newest of them."""
        wanted = [one for one in self.orders.values() if oid in (one.exchange_id, self._cloid(one))]
        if not wanted:
            known = self.refused.get(str(oid))
            return {"status": "order", "order": known} if known else {"status": "unknownOid"}
        order = max(wanted, key=lambda one: one.exchange_id)
        told = {"order": self._told(order), "status": self._word(order), "statusTimestamp": to_ms(order.updated)}
        return {"status": "order", "order": told}

    def fills(self) -> list[Row]:
        return [self._fill(trade) for trade in self.trades]

    def ledger(self) -> list[Row]:
        """Return deposits and withdrawals."""
        moved = (line for line in self.income if line.kind is IncomeKind.TRANSFER)
        return [
            {
                "time": to_ms(line.at), "hash": f"0x{int(line.transaction_id):064x}",
                "delta": {"type": "deposit", "usdc": text(line.amount)} if line.amount > 0
                else {"type": "withdraw", "usdc": text(-line.amount), "nonce": to_ms(line.at), "fee": "0.0"},
            }
            for line in moved
        ]  # fmt: skip

    def coin(self, name: str) -> Coin:
        return next(coin for coin in self.coins if coin.name == name)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _margin_of(self, coin: Coin) -> None:
        """Let the engine count margin as this coin wants it. One engine counts all in one way; the venue can mix."""
        wanted = MarginMode.CROSS if self.mode(coin) == "cross" else MarginMode.ISOLATED
        if wanted is self.settings.margin_mode:
            return
        state = self.engine.state()
        if state.positions or state.orders:
            raise Fault("This test exchange holds cross or isolated positions, not both at once.")
        self.settings = replace(self.settings, margin_mode=wanted)
        self.engine = self._engine(state)

    def _working(self) -> tuple[OrderRecord, ...]:
        return self.engine.state().orders

    def _cloid(self, order: OrderRecord) -> str | None:
        sent = self.sent.get(order.client_order_id)
        return sent.wire.get("c") if sent else None

    def _open_by_cloid(self, cloid: str) -> OrderRecord | None:
        return next((one for one in reversed(self._working()) if self._cloid(one) == cloid), None)

    def _end(self, order: OrderRecord, word: str) -> None:
        self.engine.cancel(order.symbol, order.client_order_id, at=self.now())
        self.sent[order.client_order_id].word = word
        self.collect()

    def _in_margin(self) -> Decimal:
        """Return the unrealised profit that the venue counts into the margin of isolated positions."""
        isolated = self.settings.margin_mode is MarginMode.ISOLATED
        return self.engine.account_state(self.now()).unrealised if isolated else ZERO

    def _position(self, held: Any) -> Row:
        coin = self.coin(held.symbol)
        isolated = self.mode(coin) == "isolated"
        sign = 1 if held.side.value == "long" else -1
        return {
            "coin": held.symbol, "szi": text(sign * held.quantity), "entryPx": text(held.entry_price),
            "positionValue": text(held.quantity * held.mark_price), "unrealizedPnl": text(held.unrealised),
            "returnOnEquity": "0.0", "marginUsed": text(held.margin + (held.unrealised if isolated else ZERO)),
            "liquidationPx": None if held.liquidation_price is None else text(held.liquidation_price),
            "leverage": {"type": self.mode(coin), "value": held.leverage} | ({"rawUsd": "0.0"} if isolated else {}),
            "maxLeverage": coin.most_leverage,
            "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
        }  # fmt: skip

    def _word(self, order: OrderRecord) -> str:
        sent = self.sent.get(order.client_order_id)
        if sent and sent.word:
            return sent.word
        if order.status is VenueStatus.EXPIRED:
            return "reduceOnlyCanceled" if order.reduce_only else "marginCanceled"
        return {VenueStatus.FILLED: "filled", VenueStatus.CANCELED: "canceled"}.get(order.status, "open")

    def _told(self, order: OrderRecord) -> Row:
        sent = self.sent.get(order.client_order_id)
        coin = self.coin(order.symbol)
        wire = sent.wire if sent else {
            "b": order.side is OrderSide.BUY, "p": text(coin.price), "s": text(order.quantity), "r": True,
            "t": {"limit": {"tif": "LiquidationMarket"}},
        }  # fmt: skip
        at_ms = sent.at_ms if sent else to_ms(order.created)
        return self._row(coin, wire, order.exchange_id, text(order.remaining), at_ms)

    def _row(self, coin: Coin, wire: Row, oid: int, left: str, at_ms: int) -> Row:
        trigger = wire["t"].get("trigger")
        kind = {"sl": "Stop Market", "tp": "Take Profit Market"}[trigger["tpsl"]] if trigger else "Limit"
        return {
            "coin": coin.name, "side": "B" if wire["b"] else "A", "limitPx": wire["p"], "sz": left, "oid": oid,
            "timestamp": at_ms, "triggerCondition": "N/A" if not trigger else f"Price at {trigger['triggerPx']}",
            "isTrigger": bool(trigger), "triggerPx": trigger["triggerPx"] if trigger else "0.0", "children": [],
            "isPositionTpsl": False, "reduceOnly": wire["r"], "orderType": kind,
            "origSz": text(Decimal(wire["s"])), "tif": None if trigger else wire["t"]["limit"]["tif"],
            "cloid": wire.get("c"),
        }  # fmt: skip

    def _fill(self, trade: Trade) -> Row:
        order = self.orders[int(trade.exchange_id)]
        cloid = self._cloid(order)
        taken = order.client_order_id.startswith("autoclose")
        row = {
            "coin": trade.symbol, "px": text(trade.price), "sz": text(trade.quantity),
            "side": "B" if trade.side is OrderSide.BUY else "A", "time": to_ms(trade.at), "startPosition": "0.0",
            "dir": "Liquidated Isolated" if taken else "Trade", "closedPnl": text(trade.realised),
            "hash": f"0x{int(trade.trade_id):064x}", "oid": int(trade.exchange_id), "crossed": not trade.maker,
            "fee": text(trade.fee), "tid": int(trade.trade_id), "feeToken": "USDC", "twapId": None,
        }  # fmt: skip
        if taken:
            row["liquidation"] = {"liquidatedUser": self.user, "markPx": text(trade.price), "method": "market"}
        return row | ({"cloid": cloid} if cloid else {})


def text(value: Decimal) -> str:
    """Write a number as the venue does: all digits, at least one behind the point."""
    told = format(value.normalize(), "f")
    return told if "." in told else f"{told}.0"


def on_tick(price: Decimal, size_decimals: int) -> bool:
    """Return whether a price is one that the venue takes: five figures, few decimals, whole numbers always."""
    if price <= 0:
        return False
    if price == price.to_integral_value():
        return True
    digits = price.normalize().as_tuple()
    decimals = -int(digits.exponent)
    return len(digits.digits) <= FIGURES and decimals <= MOST_DECIMALS - size_decimals
