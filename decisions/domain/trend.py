"""rules/trend: go with the trend of the longer timeframe when the bot's own one gains momentum that way.

Trend       EMA20 above (below) EMA50 on the longest timeframe, with ADX14 of at least 18 (`adx`).
Entry       MACD histogram on the bot's own timeframe above (below) zero and growing, RSI14 not yet stretched.
Stop        2 × ATR14 of the own timeframe, never nearer than five times the cost of getting in and out.
Target      twice as far as the stop; farther where `min_reward_risk` is not reached there after costs.
Exit early  when the averages of the trend have crossed against the position.
Size        what loses `risk_per_trade` of equity at the stop, costs included, at most `max_position` of equity.

EMA, MACD, RSI, ATR, ADX in their usual definitions (Wilder 1978; Appel 1979), as `marketdata` computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from math import isfinite

from accounts.domain.limits import Limits
from decisions.domain.foresight import Acts, Whole
from decisions.domain.parameters import searched
from decisions.domain.portfolio import PositionView
from decisions.domain.proposal import Action, Proposal, Side
from decisions.domain.question import BotView, Question
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import SymbolView, Timeframe

COST_MULTIPLE = Decimal(5)
LEVERAGE = 3
BAND_MARGIN = Decimal("0.05")
"""Stops keep this share away from the edges of the allowed band, so that a moving touch does not void them."""
CENT_OF_A_CENT = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Values:
    """Newest values of one symbol: `ema20`, `ema50`, `adx` of the longer timeframe, the others of the own one."""

    ema20: float
    ema50: float
    adx: float
    histogram: float
    histogram_before: float
    rsi: float
    atr: float

    @property
    def lean(self) -> Side:
        """Where the averages point, however weakly."""
        return Side.LONG if self.ema20 > self.ema50 else Side.SHORT

    def momentum(self, side: Side) -> bool:
        """Is the histogram on this side of zero and growing?"""
        return side.sign * self.histogram > max(0.0, side.sign * self.histogram_before)

    def room(self, side: Side, most: float) -> bool:
        """Has the RSI not yet run away?"""
        return side.sign * (self.rsi - 50.0) < most - 50.0


@dataclass(frozen=True, slots=True)
class Frames:
    """The two timeframes that the rules look at; they are one and the same when only one is given."""

    own: str
    longer: str


@dataclass(frozen=True, slots=True)
class Trend:
    """The rules with their numbers."""

    adx: float = field(default=18.0, metadata=searched(10.0, 40.0))
    """Below it the market is called trendless (Wilder's own threshold is 20 to 25; a lower one trades more often)."""
    room: float = field(default=70.0, metadata=searched(60.0, 90.0))
    """RSI above which a long is not entered; a short not below 100 minus it."""
    stop_atr: float = field(default=2.0, metadata=searched(1.0, 5.0))
    """Way to the stop ÷ ATR14."""
    reward: Decimal = field(default=Decimal(2), metadata=searched("1.5", "5"))
    """Way to the target ÷ way to the stop."""

    def decide(self, question: Question) -> tuple[Proposal, ...]:
        """Return what the rules ask: closes and holds first, then entries, the strongest trend first."""
        frames = frames_of(question.bot)
        wishes = [wish for symbol in question.bot.symbols for wish in _for_symbol(self, symbol, frames, question)]
        settled = [wish.proposal for wish in wishes if not wish.proposal.action.opens]
        entries = sorted((wish for wish in wishes if wish.proposal.action.opens), key=lambda wish: -wish.strength)
        room = _free_places(question, settled)
        late = _waiting(entries[room:], settled, question.limits)
        return (*settled, *(wish.proposal for wish in entries[:room]), *late)

    def acts(self, bot: BotView, symbol: str, whole: Whole) -> Acts:
        """Return when these rules could ask for more than to hold: entries by all they look at, closes by the averages."""
        frames = frames_of(bot)
        ema20, ema50, adx = (whole.values(symbol, frames.longer, name) for name in ("ema20", "ema50", "adx14"))
        before = whole.values(symbol, frames.own, "macd_hist", back=2)
        histogram, rsi, atr = (whole.values(symbol, frames.own, name) for name in ("macd_hist", "rsi14", "atr14"))
        total = ema20 + ema50 + adx + before + histogram + rsi + atr
        known = total == total
        above = ema20 > ema50
        sign = above * 2.0 - 1.0
        momentum = sign * histogram > (sign * before).clip(min=0.0)
        entry = known & (adx >= self.adx) & momentum & (sign * (rsi - 50.0) < self.room - 50.0)
        return Acts(flat=entry, long=known & ~above, short=known & above)


def frames_of(bot: BotView) -> Frames:
    """Return the bot's own timeframe and the longest one it is given."""
    return Frames(bot.interval, bot.timeframes[-1] if bot.timeframes else bot.interval)


@dataclass(frozen=True, slots=True)
class _Wish:
    proposal: Proposal
    strength: float = 0.0


def _free_places(question: Question, settled: Sequence[Proposal]) -> int:
    closing = sum(proposal.action is Action.CLOSE for proposal in settled)
    return max(0, question.limits.max_positions - len(question.portfolio.positions) + closing)


def _waiting(entries: Sequence[_Wish], settled: Sequence[Proposal], limits: Limits) -> tuple[Proposal, ...]:
    """Return holds for the entries that find no place. A symbol that is being closed has its say already."""
    spoken = {proposal.symbol for proposal in settled}
    why = f"All {limits.max_positions} places are taken. "
    return tuple(
        _hold(wish.proposal.symbol, why + wish.proposal.justification)
        for wish in entries
        if wish.proposal.symbol not in spoken
    )


def _for_symbol(rules: Trend, symbol: str, frames: Frames, question: Question) -> list[_Wish]:
    view = question.snapshot.symbols.get(symbol)
    if view is None:
        return [_Wish(_hold(symbol, "The market has no data for it."))]
    if view.problem:
        return [_Wish(_hold(symbol, f"No usable data: {view.problem}"))]
    values = read(view, frames)
    if values is None:
        return [_Wish(_hold(symbol, f"Not enough candles of {frames.own} and {frames.longer} for the indicators yet."))]
    position = question.portfolio.position(symbol)
    if position is None:
        return [_Wish(_entry_or_hold(rules, view, values, frames, question), values.adx)]
    return _for_position(rules, view, values, frames, question, position)


def _for_position(
    rules: Trend, view: SymbolView, values: Values, frames: Frames, question: Question, position: PositionView
) -> list[_Wish]:
    averages = _averages(values, frames)
    if values.lean is position.side:
        return [_Wish(_hold(view.symbol, f"The trend still carries the {position.side}: {averages}."))]
    close = Proposal(
        view.symbol, Action.CLOSE, justification=f"The trend turned against the {position.side}: {averages}."
    )
    reversal = _entry_or_hold(rules, view, values, frames, question)
    return [_Wish(close), *([_Wish(reversal, values.adx)] if reversal.action.opens else [])]


def read(view: SymbolView, frames: Frames) -> Values | None:
    """Return the newest values of the indicators, or None while one of them cannot be known."""
    own, longer = view.timeframes.get(frames.own), view.timeframes.get(frames.longer)
    if own is None or longer is None:
        return None
    newest = [
        *(_value(longer, name) for name in ("ema20", "ema50", "adx14")),
        _value(own, "macd_hist"),
        _value(own, "macd_hist", back=2),
        *(_value(own, name) for name in ("rsi14", "atr14")),
    ]
    return Values(*newest) if all(map(isfinite, newest)) else None


def _value(timeframe: Timeframe, name: str, back: int = 1) -> float:
    series = timeframe.indicators.get(name)
    return float(series[-back]) if series is not None and len(series) >= back else float("nan")


def _entry_or_hold(rules: Trend, view: SymbolView, values: Values, frames: Frames, question: Question) -> Proposal:
    averages, side = _averages(values, frames), values.lean
    if values.adx < rules.adx:
        return _hold(view.symbol, f"No trend: ADX14 {values.adx:.0f} is below {rules.adx:.0f} on {frames.longer}.")
    if not values.momentum(side):
        return _hold(view.symbol, f"Waiting for momentum to the {side} side: {averages}; {_pace(values, frames)}.")
    if not values.room(side, rules.room):
        return _hold(view.symbol, f"Too late for a {side}, the move is stretched: {_pace(values, frames)}.")
    return _entry(rules, view, side, values, question, why=f"{averages}; {_pace(values, frames)}")


def _entry(rules: Trend, view: SymbolView, side: Side, values: Values, question: Question, *, why: str) -> Proposal:
    instrument, limits = view.instrument, question.limits
    touch = view.quote.ask if side is Side.LONG else view.quote.bid
    distance = stop_distance(touch, rules.stop_atr * values.atr, instrument, limits)
    reward = reward_distance(touch, distance, rules.reward, side, view, limits)
    stop, target = _bracket(side, touch, distance, reward, instrument)
    quantity = _quantity(question, instrument, touch, stop)
    if quantity < instrument.min_quantity or quantity * touch < instrument.min_notional:
        return _hold(view.symbol, f"The size that risks {limits.risk_per_trade:.1%} is below the venue's minimum.")
    return Proposal(
        symbol=view.symbol,
        action=Action.BUY if side is Side.LONG else Action.SELL,
        quantity=quantity,
        leverage=min(LEVERAGE, limits.max_leverage, instrument.max_leverage),
        stop_loss=stop,
        profit_target=target,
        risk_usd=(quantity * abs(touch - stop)).quantize(CENT_OF_A_CENT, ROUND_HALF_EVEN),
        confidence=_confidence(values.adx - rules.adx),
        invalidation_condition=f"EMA20 crosses EMA50 on {frames_of(question.bot).longer} against the {side}",
        justification=f"{why}. Stop {distance / touch:.2%} away at {stop}, "
        f"target {reward / distance:.1f} times as far.",
    )


def stop_distance(touch: Decimal, wanted: float, instrument: InstrumentSpec, limits: Limits) -> Decimal:
    """Return how far the stop lies from the price an entry would cross: what is wanted, inside the band of the limits."""
    costs = touch * 2 * instrument.taker_fee * COST_MULTIPLE
    nearest = touch * limits.min_stop_distance * (1 + BAND_MARGIN)
    farthest = touch * limits.max_stop_distance * (1 - BAND_MARGIN)
    return min(max(Decimal(repr(wanted)), costs, nearest), farthest)


def reward_distance(
    touch: Decimal, distance: Decimal, reward: Decimal, side: Side, view: SymbolView, limits: Limits
) -> Decimal:
    """Return how far the target lies: `reward` times the stop, or what pays `min_reward_risk` after fees, slippage and funding."""
    fee, rate = view.instrument.taker_fee, view.quote.funding_rate
    funding = max(Decimal(0), rate * side.sign) * touch if rate is not None and rate.is_finite() else Decimal(0)
    stop = touch - distance * side.sign
    risk = distance + fee * (touch + stop) + limits.max_slippage * stop + funding
    least = (limits.min_reward_risk * risk + 2 * fee * touch + funding) / (1 - fee)
    return max(reward * distance, least * (1 + BAND_MARGIN))


def _bracket(
    side: Side, touch: Decimal, distance: Decimal, reward: Decimal, instrument: InstrumentSpec
) -> tuple[Decimal, Decimal]:
    if side is Side.LONG:
        return instrument.price_down(touch - distance), instrument.price_up(touch + reward)
    return instrument.price_up(touch + distance), instrument.price_down(touch - reward)


def _quantity(question: Question, instrument: InstrumentSpec, touch: Decimal, stop: Decimal) -> Decimal:
    """Return the size that loses `risk_per_trade` at the stop, with the fees of both sides and the stop's slippage."""
    equity, limits = question.portfolio.equity, question.limits
    capital = equity if question.bot.capital is None else min(equity, question.bot.capital)
    lost = abs(touch - stop) + instrument.taker_fee * (touch + stop) + limits.max_slippage * stop
    return instrument.quantity_down(min(capital * limits.risk_per_trade / lost, capital * limits.max_position / touch))


def _confidence(excess: float) -> float:
    """Return the strength of the trend on a scale from 0.5 to 0.9. It is no probability."""
    return round(min(0.9, 0.5 + excess / 100), 2)


def _averages(values: Values, frames: Frames) -> str:
    relation = "above" if values.ema20 > values.ema50 else "below"
    return f"{frames.longer} EMA20 {values.ema20:.6g} {relation} EMA50 {values.ema50:.6g}, ADX14 {values.adx:.0f}"


def _pace(values: Values, frames: Frames) -> str:
    return (
        f"{frames.own} MACD histogram {values.histogram:.4g} after {values.histogram_before:.4g}, "
        f"RSI14 {values.rsi:.0f}"
    )


def _hold(symbol: str, why: str) -> Proposal:
    return Proposal(symbol, Action.HOLD, justification=why)
