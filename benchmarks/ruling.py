"""What risk costs: a decision of six proposals through every rule, beside the bare arithmetic that it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from functools import partial

from accounts.domain.limits import Limits
from benchmarks.report import Table, against
from benchmarks.timing import in_turns
from decisions.domain.portfolio import Portfolio, PositionView
from decisions.domain.proposal import Action, Proposal, Ruling, Side, Verdict
from decisions.domain.question import BotView
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote, SymbolView
from trading.domain.history import Ended, History
from trading.domain.risk import RULES, Standing, rule_all
from trading.domain.risk.rulebook import DIGITS

LIMIT_MS = 1.0
ROUNDS = 31
REPEAT = 20
D = Decimal
AT = datetime(2025, 10, 10, 12, tzinfo=UTC)
SYMBOLS = tuple(f"{base}USDT" for base in ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE"))
LEVELS = 50
"""Of each side of a book: what is read of a venue before an entry is ruled."""
OPERATIONS = 100
"""Calculations of an entry, roughly: what `bare` makes for each proposal."""


def measure() -> list[Table]:
    calls: dict[str, Callable[[], object]] = {"bare": bare, **{name: partial(go) for name, go in cases().items()}}
    found = in_turns(calls, rounds=ROUNDS, repeat=REPEAT)
    bare_seconds = found.pop("bare")
    rows = tuple(_row(name, seconds, bare_seconds) for name, seconds in found.items())
    note = (
        f"One call of `rule_all`: six proposals, {len(RULES)} rules, books of {LEVELS} levels a side, thirty entries and "
        f"forty ended positions in the history. Processor time, in turns, median of {ROUNDS} rounds. Bare is "
        f"{OPERATIONS} multiplications and comparisons of Decimals with {DIGITS} digits for each of the six: "
        f"{bare_seconds * 1e6:,.0f} µs."
    )
    return [
        Table("A ruling of six proposals", ("proposals", "time", "each", "÷ bare", f"≤ {LIMIT_MS:g} ms"), rows, (note,))
    ]


def _row(name: str, seconds: float, bare_seconds: float) -> tuple[str, ...]:
    each = f"{seconds * 1e6 / len(SYMBOLS):,.0f} µs"
    return name, f"{seconds * 1e3:.2f} ms", each, f"{seconds / bare_seconds:.1f}", against(seconds * 1e3, LIMIT_MS)


def bare() -> bool:
    """Multiply and compare as many numbers as an entry needs, six times over, and do nothing else."""
    price, quantity, limit, kept = D("100.2"), D("1.37"), D(150), True
    with localcontext(prec=DIGITS):
        for _ in range(OPERATIONS * len(SYMBOLS)):
            kept = price * quantity <= limit and kept
    return kept


def cases() -> Mapping[str, Callable[[], tuple[Ruling, ...]]]:
    """Return the lists that are ruled. Raises RuntimeError when one does not end as its name says."""
    entries = tuple(_entry(symbol) for symbol in SYMBOLS)
    large = tuple(replace(each, quantity=D(5000)) for each in entries)
    close, hold = Action.CLOSE, Action.HOLD
    ruled = {
        "six entries are taken": (partial(rule, entries), {Verdict.ACCEPTED}),
        "six entries are reduced": (partial(rule, large), {Verdict.REDUCED}),
        "six additions are taken": (partial(rule, entries, held=SYMBOLS), {Verdict.ACCEPTED}),
        "six entries are refused at the last rule": (
            partial(rule, tuple(replace(each, quantity=D("0.001")) for each in entries)),
            {Verdict.REFUSED},
        ),
        "six positions are closed": (
            partial(rule, tuple(Proposal(symbol, close) for symbol in SYMBOLS), held=SYMBOLS),
            {Verdict.ACCEPTED},
        ),
        "six holds": (partial(rule, tuple(Proposal(symbol, hold) for symbol in SYMBOLS)), {Verdict.ACCEPTED}),
    }
    for name, (call, verdicts) in ruled.items():
        if {ruling.verdict for ruling in call()} != verdicts:
            raise RuntimeError(f"{name}: {[(ruling.verdict, ruling.rule_ids) for ruling in call()]}")
    return {name: call for name, (call, _) in ruled.items()}


def rule(proposals: tuple[Proposal, ...], *, held: tuple[str, ...] = ()) -> tuple[Ruling, ...]:
    portfolio = replace(PORTFOLIO, positions=tuple(map(_position, held)))
    return rule_all(proposals, snapshot=MARKET, portfolio=portfolio, limits=LIMITS, bot=BOT, standing=STANDING)


def _entry(symbol: str) -> Proposal:
    return Proposal(
        symbol,
        Action.BUY,
        quantity=D(10),
        leverage=5,
        stop_loss=D(98),
        profit_target=D(106),
        risk_usd=None,
        confidence=0.7,
    )


def _position(symbol: str) -> PositionView:
    return PositionView(
        symbol,
        Side.LONG,
        D(5),
        entry_price=D(100),
        mark_price=D(100),
        leverage=5,
        unrealised=D(0),
        margin=D(100),
        stop=D(98),
        opened_at=AT - timedelta(days=1),
    )


def _view(symbol: str) -> SymbolView:
    spec = InstrumentSpec("sim", symbol, symbol[:-4], "USDT", D("0.01"), D("0.01"), D("0.01"), D(10_000), D(5))
    quote = Quote(symbol, AT, D("99.95"), D("99.9"), D(100), D("99.95"), D("0.0001"), AT + timedelta(hours=4))
    steps = [D(step) / 100 for step in range(LEVELS)]
    bids, asks = (
        tuple((at + sign * step, D(5_000)) for step in steps) for at, sign in ((quote.bid, -1), (quote.ask, 1))
    )
    return SymbolView(symbol, spec, quote, {}, depth=Depth(symbol, AT, bids, asks))


MARKET = MarketSnapshot("sim", AT, {symbol: _view(symbol) for symbol in SYMBOLS})
PORTFOLIO = Portfolio(AT, wallet=D(1_000_000), unrealised=D(0), margin=D(0), available=D(1_000_000))
LIMITS = Limits(
    max_positions=6, max_group=D(9), max_net=D(9), max_gross=D(9), pyramiding=True, opens_per_hour=60, opens_per_day=60
)
BOT = BotView("bot", "rules/trend", SYMBOLS, "3m", ("3m",))
STANDING = Standing(
    history=History(
        opened=tuple(AT - timedelta(minutes=40 * number) for number in range(30, 0, -1)),
        ended=tuple(
            Ended(
                SYMBOLS[number % len(SYMBOLS)],
                Side.LONG,
                AT - timedelta(minutes=60 * number + 30),
                AT - timedelta(minutes=60 * number),
                D(number % 3 - 1),
            )
            for number in range(40, 0, -1)
        ),
    )
)
