"""The hand on the test exchange: clock, prices, faults and the log, for tests in the same process and over /_sim/."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from marketdata.domain.candles import Candles
from marketdata.domain.instruments import Bracket
from trading.domain.matching import Depth, Orphans
from trading.exchange_server.accounts import TestAccount, Truth
from trading.exchange_server.faults import Fault
from trading.exchange_server.filters import filters_of
from trading.exchange_server.orders import ORDERS, Call
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    from trading.exchange_server.server import ExchangeServer

PATIENCE_SECONDS = 10.0

type Levels = Sequence[Sequence[str | float | Decimal]]
"""Levels of a ladder, each a price and a quantity."""


class Control:
    """Every method may be called from any thread: it is done on the loop of the server, between two requests."""

    def __init__(self, server: ExchangeServer) -> None:
        self._server = server
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def bind(self) -> None:
        """Remember the loop on which the server runs. Called by the server at its start."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    def command(self, name: str, given: Any) -> Any:
        """Do what a request to /_sim/`name` asks. Raises Rejected for an unknown one, TypeError for wrong arguments."""
        commands: dict[str, Callable[..., Any]] = {
            "state": self.state,
            "price": self.set_price,
            "clock": self.clock,
            "funding": self.set_funding_hours,
            "fault": self.fault,
            "stream-fault": self.stream_fault,
            "cut": self.cut,
            "retire": self.retire,
            "clear": self.clear,
            "log": self.log,
            "weight": self.set_weight,
            "account": self._plain_account,
            "open-account": self._plain_open,
            "deposit": self.deposit,
            "brackets": self._plain_brackets,
            "depth": self._plain_depth,
            "order": self.order,
            "adl": self.adl,
            "liquidate": self.liquidate,
            "orphans": self.set_orphans,
            "expire-listen-key": self.expire_listen_key,
            "nonce-window": self.set_nonce_window,
        }
        if name not in commands:
            raise Rejected(f"There is no /_sim/{name}. There is {', '.join(commands)}.", code="control")
        if not isinstance(given, dict):
            raise Rejected("Send a JSON object.", code="control")
        return commands[name](**given)

    def state(self) -> dict[str, Any]:
        """Return clock, market, connections, weights and faults."""
        return self._do(self._state)

    def now(self) -> datetime:
        """Return the time of the exchange."""
        return from_ms(self._server.markets.now_ms())

    def set_price(self, symbol: str, last: float | None = None, mark: float | None = None) -> dict[str, Any]:
        """Set last and mark price of a symbol from now on, and send the news."""
        return self._do(lambda: self._set_price(symbol, last, mark))

    def clock(
        self, step: float | None = None, at: str | None = None, speed: float | None = None, stand: bool | None = None
    ) -> dict[str, Any]:
        """Move the clock: `step` seconds forward, to `at` (ISO), on at `speed`; or let it stand (or go on)."""
        return self._do(lambda: self._clock(step, at, speed, stand))

    def step(self, seconds: float) -> datetime:
        """Move the clock forward, send the news, and return the new time."""
        self.clock(step=seconds)
        return self.now()

    def stand(self) -> None:
        """Let the clock stand still."""
        self.clock(stand=True)

    def go(self, speed: float | None = None) -> None:
        """Let the clock run on, at `speed` if one is given."""
        self.clock(stand=False, speed=speed)

    def set_funding_hours(self, symbol: str, hours: int) -> dict[str, Any]:
        """Let the funding of a symbol settle every so many hours from now on."""
        self._known(symbol)
        self._do(lambda: self._set_funding_hours(symbol, hours))
        return {"symbol": symbol, "hours": hours}

    def fault(self, kind: str, **options: Any) -> dict[str, Any]:
        """Set a fault of REST. Options are those of `Fault`: path, count, probability, seconds."""
        return self._do(lambda: self._add(Fault(kind, **options), stream=False))

    def stream_fault(self, kind: str, **options: Any) -> dict[str, Any]:
        """Set a fault of the streams; `path` is matched against the stream's name."""
        return self._do(lambda: self._add(Fault(kind, **options), stream=True))

    def cut(self) -> dict[str, int]:
        """Break all WebSocket connections without closing them."""
        return {"cut": self._do(self._server.hub.cut)}

    def retire(self) -> dict[str, int]:
        """Close all WebSocket connections in order, as each is closed after 24 hours."""
        return {"retired": self._do(self._server.hub.retire)}

    def clear(self) -> dict[str, Any]:
        """Take all faults away, forget used weights and lift bans."""
        return self._do(self._clear)

    def log(self, clear: bool = False) -> list[dict[str, Any]]:
        """Return the last requests, oldest first; `clear` empties the log after that."""
        return self._do(lambda: self._log(clear=clear))

    def set_weight(
        self, limit: int | None = None, used: int | None = None, address: str = "127.0.0.1"
    ) -> dict[str, Any]:
        """Set the limit of weight a minute, or what an address has used of it."""
        return self._do(lambda: self._set_weight(limit, used, address))

    def closed(self, symbol: str, interval: str, *, since_ms: int = 0, until_ms: int | None = None) -> Candles:
        """Return the closed candles that open in [since, until): what a client must have in the end."""
        return self._do(lambda: self._closed(symbol, interval, since_ms, until_ms))

    def open_account(self, opened: TestAccount) -> None:
        """Open one more account. Raises Rejected for a user that has one."""
        self._do(lambda: self._server.signed.accounts.open(opened))

    def account(self, user: str) -> Truth:
        """Return all that an account holds and has done, brought up to now: what a client's books should say."""
        return self._do(lambda: self._truth(user))

    def deposit(self, user: str, amount: str | float) -> dict[str, Any]:
        """Book a deposit, or a withdrawal when it is negative, and tell it on the stream."""
        return self._do(lambda: self._deposit(user, Decimal(str(amount))))

    def set_brackets(self, symbol: str, brackets: Sequence[Bracket]) -> dict[str, Any]:
        """Change the leverage brackets of a symbol for all accounts, from now on."""
        self._known(symbol)
        self._do(lambda: self._server.signed.accounts.set_brackets(symbol, tuple(brackets)))
        return {"symbol": symbol, "brackets": len(brackets)}

    def set_depth(self, symbol: str, *, bids: Levels | None = None, asks: Levels | None = None) -> dict[str, Any]:
        """Lay ladders of (price, quantity): what there is to trade against, for all accounts, until it is used up.

        A side without one is as deep as anybody wants; without both, all is as it was. An empty one is an empty side.
        """
        self._known(symbol)
        return self._do(lambda: self._set_depth(symbol, bids, asks))

    def order(self, user: str, method: str = "POST", **given: str) -> dict[str, Any]:
        """Place, change or cancel an order by the hand of a person on this account, with the parameters of `order`.

        Raises Refusal as the venue would answer.
        """
        if (method, "order") not in ORDERS:
            raise Rejected(f"An order is sent by POST, PUT, GET or DELETE, not by {method}.", code="control")
        return self._do(lambda: self._order(user, method, given))

    def adl(self, user: str, symbol: str) -> dict[str, Any]:
        """Close a position at its mark price against the liquidation of somebody else."""
        return self._do(lambda: self._take_over(user, symbol, deleveraged=True))

    def liquidate(self, user: str, symbol: str) -> dict[str, Any]:
        """Liquidate a position now, whatever its price."""
        return self._do(lambda: self._take_over(user, symbol, deleveraged=False))

    def set_orphans(self, mode: str) -> dict[str, Any]:
        """Say what becomes of closePosition orders once the position is flat: `keep` or `cancel`."""
        if mode not in list(Orphans):
            raise Rejected(f"Orphans are kept or cancelled: {', '.join(Orphans)}, not {mode}.", code="control")
        self._do(lambda: self._server.signed.accounts.set_orphans(Orphans(mode)))
        return {"orphans": mode}

    def expire_listen_key(self, user: str) -> dict[str, Any]:
        """End the listen key of an account at once, as it ends after an hour."""
        signed = self._server.signed
        self._do(lambda: signed.expire(signed.accounts.of(user)))
        return {"user": user}

    def set_nonce_window(self, seconds: float) -> dict[str, Any]:
        """Say how far nonces may lie from the wall clock."""
        self._do(lambda: setattr(self._server.signed.gate, "nonce_seconds", float(seconds)))
        return {"seconds": seconds}

    def dismiss_agent(self, address: str) -> None:
        """Take the permission of a V3 signer away."""
        self._do(lambda: self._server.signed.gate.dismiss_agent(address))

    def connections(self) -> int:
        """Return how many WebSocket connections are open."""
        return len(self._server.hub.connections)

    def _do[T](self, work: Callable[[], T]) -> T:
        """Do something on the server's loop and return what comes of it, errors included."""
        if self._loop is None or threading.get_ident() == self._thread:
            return work()
        outcome: Future[T] = Future()
        self._loop.call_soon_threadsafe(_settle, outcome, work)
        return outcome.result(PATIENCE_SECONDS)

    def _state(self) -> dict[str, Any]:
        server = self._server
        return {
            **server.markets.describe(),
            "connections": [list(one.streams) for one in server.hub.connections],
            "connections_opened": server.hub.opened,
            "messages_sent": server.hub.sent,
            "weight_limit": server.ledger.limit,
            "weights": {address: account.used for address, account in server.ledger.accounts.items()},
            "banned_until": server.ledger.bans,
            "requests": len(server.log),
            "faults": server.faults.listed(),
        }

    def _set_price(self, symbol: str, last: float | None, mark: float | None) -> dict[str, Any]:
        self._known(symbol)
        markets = self._server.markets
        self._server.signed.advance()  # what has happened so far, happened at the prices so far
        markets.set_price(symbol, last=last, mark=mark)
        self._server.hub.pulse()
        prices = markets.prices(symbol, markets.now_ms())
        return {"symbol": symbol, "last": prices and prices.last, "mark": prices and prices.mark}

    def _clock(self, step: float | None, at: str | None, speed: float | None, stand: bool | None) -> dict[str, Any]:
        clock = self._server.markets.clock
        if step is not None:
            clock.step(round(step * 1000))
        if at is not None:
            clock.set(to_ms(_moment(at)))
        if stand:
            clock.stand()
        elif speed is not None or stand is False:
            clock.go(speed)
        self._server.hub.pulse()
        return {"now_ms": clock.now_ms(), "now": from_ms(clock.now_ms()).isoformat(), "speed": clock.speed}

    def _set_funding_hours(self, symbol: str, hours: int) -> None:
        self._server.signed.advance()
        self._server.markets.set_funding_hours(symbol, hours)

    def _add(self, fault: Fault, *, stream: bool) -> dict[str, Any]:
        self._server.faults.add(fault, stream=stream)
        return asdict(fault)

    def _truth(self, user: str) -> Truth:
        account = self._server.signed.accounts.of(user)
        account.advance()
        return account.truth()

    def _deposit(self, user: str, amount: Decimal) -> dict[str, Any]:
        account = self._server.signed.accounts.of(user)
        account.advance()
        account.deposit(amount)
        return {"user": account.user, "wallet": str(account.state().wallet)}

    def _set_depth(self, symbol: str, bids: Levels | None, asks: Levels | None) -> dict[str, Any]:
        server, filters = self._server, filters_of(self._server.markets.contracts[symbol].info)
        made = Depth.of(bids=_levels(bids), asks=_levels(asks), bound=filters.take_bound or None)
        server.signed.accounts.set_depth(symbol, None if bids is None and asks is None else made)
        server.hub.pulse()
        return {"symbol": symbol, "bids": _plain_levels(made.bids), "asks": _plain_levels(made.asks)}

    def _order(self, user: str, method: str, given: Mapping[str, str]) -> dict[str, Any]:
        account = self._server.signed.accounts.of(user)
        account.advance()
        row: dict[str, Any] = ORDERS[method, "order"](Call(account, {name: str(one) for name, one in given.items()}))
        return row

    def _take_over(self, user: str, symbol: str, *, deleveraged: bool) -> dict[str, Any]:
        self._known(symbol)
        account = self._server.signed.accounts.of(user)
        account.advance()
        held = account.position(symbol)
        if held is None:
            raise Rejected(f"{user} holds nothing of {symbol}.", code="control")
        account.do(lambda engine, at: engine.take_over(symbol, at=at, deleveraged=deleveraged))
        return {"user": account.user, "symbol": symbol, "closed": str(held.quantity)}

    def _plain_depth(self, symbol: str, bids: Levels | None = None, asks: Levels | None = None) -> dict[str, Any]:
        return self.set_depth(symbol, bids=bids, asks=asks)

    def _plain_account(self, user: str) -> dict[str, Any]:
        plain: dict[str, Any] = TypeAdapter(Truth).dump_python(self.account(user), mode="json")
        return plain

    def _plain_open(self, user: str, deposit: str | float = 10_000, agents: Sequence[str] = ()) -> dict[str, Any]:
        self.open_account(TestAccount(user, Decimal(str(deposit)), tuple(agents)))
        return {"user": user}

    def _plain_brackets(self, symbol: str, brackets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        made = [
            Bracket(
                floor=Decimal(str(one["notionalFloor"])),
                cap=Decimal(str(one["notionalCap"])),
                max_leverage=int(one["initialLeverage"]),
                maintenance_rate=Decimal(str(one["maintMarginRatio"])),
                cum=Decimal(str(one["cum"])),
            )
            for one in brackets
        ]
        return self.set_brackets(symbol, made)

    def _clear(self) -> dict[str, Any]:
        self._server.faults.clear()
        self._server.ledger.clear()
        return {}

    def _log(self, *, clear: bool) -> list[dict[str, Any]]:
        entries = [asdict(entry) for entry in self._server.log]
        if clear:
            self._server.log.clear()
        return entries

    def _set_weight(self, limit: int | None, used: int | None, address: str) -> dict[str, Any]:
        ledger = self._server.ledger
        if limit is not None:
            ledger.limit = limit
        if used is not None:
            ledger.charge(address, used - ledger.used(address))
        return {"limit": ledger.limit, "used": ledger.used(address)}

    def _closed(self, symbol: str, interval: str, since_ms: int, until_ms: int | None) -> Candles:
        self._known(symbol)
        now = self._server.markets.now_ms()
        bars = self._server.markets.series[symbol].closed(interval, now).between(since_ms, until_ms or now)
        copies = (column.copy() for column in (bars.open_time, bars.open, bars.high, bars.low, bars.close, bars.volume))
        return Candles(symbol, interval, *copies)  # type: ignore[arg-type]

    def _known(self, symbol: str) -> None:
        if symbol not in self._server.markets.contracts:
            raise Rejected(f"{symbol} is not traded here.", code="control")


def _levels(levels: Levels | None) -> list[tuple[Decimal, Decimal]] | None:
    if levels is None:
        return None
    try:
        return [(Decimal(str(price)), Decimal(str(size))) for price, size in levels]
    except (InvalidOperation, ValueError, TypeError):
        raise Rejected("A ladder is a list of levels, each [price, quantity].", code="depth") from None


def _plain_levels(levels: list[tuple[Decimal, Decimal]] | None) -> list[list[str]] | None:
    return None if levels is None else [[str(price), str(size)] for price, size in levels]


def _settle[T](outcome: Future[T], work: Callable[[], T]) -> None:
    try:
        outcome.set_result(work())
    except Exception as error:  # noqa: BLE001  it is raised again in the thread that asked
        outcome.set_exception(error)


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Rejected(f"{text!r} is not a moment like 2025-10-10T21:00", code="control") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
