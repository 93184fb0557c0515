"""Cases for the property tests of risk: from a number that is drawn, a market, an account and what it asks for.

`Cases` makes what can be, mostly so that something passes; `MadCases` puts what cannot be into any place of it. A case
is made by a generator of its own, which is a hundred times as fast as drawing each number, and comes again by its seed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from accounts.domain.limits import Limits
from decisions.domain.portfolio import Portfolio, PositionView
from decisions.domain.proposal import Action, Proposal, Ruling, Side, Verdict
from decisions.domain.question import BotView
from marketdata.domain.snapshot import Depth, MarketSnapshot, SymbolView
from trading.domain.history import Ended, History
from trading.domain.risk import Standing
from trading.tests.risk_kit import (
    AT,
    BOT,
    BTC,
    ETH,
    GOLD,
    LIMITS,
    LONG,
    PORTFOLIO,
    D,
    ago,
    market,
    position,
    rule,
    view,
)

SYMBOLS: Final = (ETH, BTC, GOLD)


@dataclass(frozen=True)
class Case:
    """Everything that a list of proposals is ruled by."""

    proposals: tuple[Proposal, ...]
    snapshot: MarketSnapshot
    portfolio: Portfolio
    limits: Limits
    bot: BotView
    standing: Standing

    @property
    def history(self) -> History:
        return self.standing.history

    def ruled(self, *proposals: Proposal) -> tuple[Ruling, ...]:
        """Rule on its proposals, or on these instead."""
        return rule(
            *(proposals or self.proposals),
            snapshot=self.snapshot,
            portfolio=self.portfolio,
            limits=self.limits,
            bot=self.bot,
            standing=self.standing,
        )


def passed(ruling: Ruling) -> bool:
    return ruling.proposal.action.opens and ruling.verdict is not Verdict.REFUSED


class Cases:
    """What can be."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.bid = self.between("98", "100.5")

    def case(self, *, proposals: int = 1) -> Case:
        return Case(
            tuple(self.proposal() if proposals > 1 else self.entry(ETH) for _ in range(proposals)),
            self.market(),
            self.portfolio(),
            self.limits(),
            replace(BOT, capital=self.seldom(self.between("2000", "20000"))),
            Standing(history=self.history()),
        )

    def between(self, low: str, high: str, places: int = 2) -> Decimal:
        unit = D(1).scaleb(-places)
        return D(self.random.randint(int(D(low) / unit), int(D(high) / unit))) * unit

    def seldom[T](self, value: T, usual: Any = None) -> Any:
        return value if self.random.random() < 0.15 else usual

    def one_of[T](self, *values: T) -> T:
        return self.random.choice(values)

    def limits(self) -> Limits:
        one, random = self.between, self.random
        return Limits(
            max_leverage=random.randint(5, 10),
            risk_per_trade=one("0.005", "0.3", 3),
            max_position=one("0.1", "3"),
            max_group=one("0.5", "4"),
            max_net=one("0.5", "4"),
            max_gross=one("0.5", "5"),
            max_positions=random.randint(2, 6),
            max_slippage=one("0", "0.01", 3),
            max_margin_use=one("0.1", "1"),
            margin_buffer=one("0", "0.05", 4),
            sides=self.seldom(self.one_of("long", "short"), "both"),
            pyramiding=random.random() < 0.6,
            target_required=self.seldom(True, False),
            min_reward_risk=one("0", "2", 1),
            min_confidence=one("0", "0.6", 1),
            max_spread=one("0.003", "0.02", 4),
            min_depth=one("0", "4", 1),
            max_mark_gap=one("0.002", "0.02", 4),
            max_funding=one("0", "0.003", 4),
            opens_per_hour=random.randint(1, 9),
            opens_per_day=random.randint(3, 30),
            min_hold_minutes=random.randint(0, 30),
            cooldown_minutes=random.randint(0, 30),
            losing_streak=random.randint(0, 4),
            losing_pause_minutes=random.randint(0, 120),
        )

    def market(self) -> MarketSnapshot:
        return market(self.view(ETH), self.view(BTC), self.view(GOLD, group="metals"))

    def view(self, symbol: str, group: str = "crypto") -> SymbolView:
        bid, ask = self.bid, self.bid + self.between("0", "0.5")
        prices = {
            "bid": bid,
            "ask": ask,
            "mark": bid + self.between("-0.3", "0.3"),
            "last": bid,
            "funding_rate": self.one_of(None, self.between("-0.003", "0.003", 4)),
            "next_funding_at": self.one_of(None, ago(-self.random.randint(-5, 480))),
        }
        return replace(view(symbol, group=group, **prices), depth=self.one_of(None, self.depth(bid, ask)))

    def depth(self, bid: Decimal, ask: Decimal) -> Depth:
        levels = sorted(
            (self.between("0", "1.5"), self.between("0.01", "200")) for _ in range(self.random.randint(1, 5))
        )
        bids, asks = (tuple((at + sign * away, size) for away, size in levels) for at, sign in ((bid, -1), (ask, 1)))
        return Depth(ETH, AT, bids, asks)

    def portfolio(self) -> Portfolio:
        symbols = self.random.sample((*SYMBOLS, "FOOUSDT"), self.random.randint(0, 2))
        held = tuple(map(self.position, symbols))
        wallet, margin = self.between("4000", "50000"), sum((each.margin for each in held), D(0))
        unrealised = sum((each.unrealised for each in held), D(0))
        return Portfolio(AT, wallet, unrealised, margin, available=wallet - margin, positions=held)

    def position(self, symbol: str) -> PositionView:
        side = self.one_of(*Side)
        return position(
            symbol,
            side,
            self.between("0.01", "40"),
            self.between("95", "105"),
            entry_price=self.between("95", "105"),
            leverage=self.one_of(5, 5, 4),
            stop=self.seldom(None, D(100) - side.sign * self.between("1", "9")),
            target=self.seldom(self.between("80", "120")),
            margin=self.between("0", "1500"),
            unrealised=self.between("-800", "800"),
            opened_at=ago(self.random.randint(0, 60)),
        )

    def history(self) -> History:
        random = self.random
        opened = tuple(ago(random.randint(0, 1500)) for _ in range(random.randint(0, 5)))
        return History(opened, tuple(self.ended() for _ in range(random.randint(0, 4))))

    def ended(self) -> Ended:
        at, held = self.random.randint(0, 180), self.random.randint(0, 60)
        return Ended(self.one_of(*SYMBOLS), self.one_of(*Side), ago(at + held), ago(at), self.between("-50", "50"))

    def proposal(self) -> Proposal:
        symbol = self.one_of(*SYMBOLS)
        other = Proposal(symbol, self.one_of(Action.HOLD, Action.CLOSE))
        return self.one_of(self.entry(symbol), self.entry(symbol), other)

    def entry(self, symbol: str) -> Proposal:
        """Return an entry of any size whose stop mostly lies on the right side and in the band."""
        side = self.one_of(Side.LONG, Side.SHORT)
        away, reward = self.between("0.3", "8"), self.between("1", "20")
        return Proposal(
            symbol,
            Action.BUY if side is Side.LONG else Action.SELL,
            quantity=self.one_of(self.between("1", "60"), self.between("0.0001", "100000", 4)),
            leverage=self.one_of(5, 5, 4),
            stop_loss=self.bid - side.sign * away,
            profit_target=self.one_of(None, D(101) + side.sign * reward),
            confidence=self.one_of(None, 1.0, 0.6, 0.5),
        )


NUMBERS: Final[tuple[Any, ...]] = (
    *(
        D(text)
        for text in ("NaN", "sNaN", "-NaN123", "Infinity", "-Infinity", "0", "-0.0", "-1", "1e-18", "9e15", "1e16")
    ),
    *(D(text) for text in ("1e400", "1e999999", "1e-999999", "-1e30", "1e-30", "0.1", "100", "1." + "9" * 60)),
    *(None, True, False, 0, 1, -1, 10**40, 0.5, float("nan"), float("inf"), "", "5", "NaN", "98.0", object()),
)
TIMES: Final[tuple[Any, ...]] = (
    None,
    "",
    "12:00",
    0,
    1.5,
    AT,
    AT.replace(tzinfo=None),
    AT + timedelta(days=99),
    datetime.min.replace(tzinfo=UTC),
)
LEVELS: Final[tuple[Any, ...]] = (None, "", (), ((),), ("10",), [("100", "1")], ((D(100),),), ((D(100), D(9)), None))


PLACES: Final = ("wish", "limits", "history", "quote", "instrument", "book", "held", "account", "bot", "time")


class MadCases(Cases):
    """What cannot be, in one or two of the places above, up to three fields of each."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.places = self.random.sample(PLACES, self.random.randint(1, 2))

    def case(self, *, proposals: int = 1) -> Case:
        usual = replace(LIMITS, pyramiding=self.one_of(True, False))
        wish = self.mad("wish", LONG, "quantity", "stop_loss", "profit_target", "risk_usd", "confidence", "leverage")
        close = [replace(LONG, action=Action.CLOSE)] if self.one_of(True, False) else []
        snapshot = market(self.view(ETH))
        return Case(
            (*close, replace(wish, action=self.one_of(Action.BUY, *Action))),
            replace(snapshot, at=self.one_of(*TIMES) if "time" in self.places else AT),
            self.portfolio(),
            self.mad("limits", usual, *(limit.name for limit in fields(Limits))),
            self.mad("bot", BOT, "capital"),
            Standing(history=self.history()),
        )

    def mad[T](self, place: str, what: T, *names: str, values: tuple[Any, ...] = NUMBERS) -> T:
        """Put something mad into up to three of the named fields, where the place is one of the mad ones."""
        if place not in self.places:
            return what
        chosen = self.random.sample(names, self.random.randint(1, min(3, len(names))))
        return replace(what, **{name: self.one_of(*values) for name in chosen})  # type: ignore[type-var]

    def view(self, symbol: str, group: str = "crypto") -> SymbolView:
        seen = view(symbol, group=group)
        quote = self.mad("quote", seen.quote, "bid", "ask", "mark", "last", "funding_rate")
        quote = self.mad("quote", quote, "next_funding_at", values=TIMES)
        spec = self.mad(
            "instrument",
            seen.instrument,
            *("tick_size", "step_size", "min_quantity", "max_quantity", "min_notional", "min_price", "taker_fee"),
            *("max_leverage", "contract_type", "asset_class"),
        )
        broken = tuple(
            self.mad("instrument", each, "floor", "cap", "maintenance_rate", "cum", "max_leverage")
            for each in spec.brackets
        )
        spec = replace(spec, brackets=self.one_of(spec.brackets, spec.brackets, broken, ()))
        level = (self.one_of(*NUMBERS), self.one_of(*NUMBERS))
        levels = self.one_of(*LEVELS, (level,), ((D(100), D(9)), level))
        depth: Any = self.one_of("deep", Depth(symbol, AT, levels, levels)) if "book" in self.places else None
        return replace(seen, quote=quote, instrument=spec, depth=depth)

    def portfolio(self) -> Portfolio:
        held = position(self.one_of(ETH, BTC), Side.LONG, "1", stop=D(98))
        held = self.mad(
            "held",
            held,
            *("quantity", "entry_price", "mark_price", "unrealised", "margin", "liquidation_price", "stop", "target"),
            "leverage",
        )
        held = self.mad("held", held, "opened_at", values=TIMES)
        account = self.mad("account", PORTFOLIO, "wallet", "unrealised", "margin", "available")
        return replace(account, positions=self.one_of((), (held,)))

    def history(self) -> Any:
        if "history" not in self.places:
            return History()
        one = self.mad("history", self.ended(), "opened_at", "ended_at", values=TIMES)
        return self.one_of(
            *(None, "", 5),
            History((self.one_of(*TIMES),)),
            History((), (one,)),
            History((), (self.mad("history", self.ended(), "net"),)),
            History((), (self.one_of(*NUMBERS),)),
        )
