"""Figures as text, in one order and one spelling for report, page and API. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from decisions.domain.shares import Share
from trading.domain.bootstrap import Spread
from trading.domain.measured import Measured, Proof
from trading.domain.performance import CONVENTION

NOTHING: Final = "–"
MINUS: Final = "−"
NO_TRADE: Final = "no trade was closed"


@dataclass(frozen=True, slots=True)
class Word:
    """A figure in words. `convention` says unit and how it is computed, or why there is none."""

    name: str
    text: str
    convention: str

    @property
    def known(self) -> bool:
        return self.text != NOTHING


def words(measured: Measured) -> list[Word]:
    """Return all figures, those of the series first, then what they prove, then those of the trades."""
    return [*_of_series(measured), *_of_proof(measured), *_of_draws(measured), *_of_trades(measured)]


def convention(measured: Measured) -> str:
    """Return what to show beside the figures: by what they are computed."""
    divided = "" if measured.ddof == 1 else f" Here deviations are divided by n − {measured.ddof}."
    return f"{CONVENTION}{divided} There are {measured.periods:,} periods, {measured.periods_per_year:,g} to a year."


def percent(value: float) -> str:
    """Write a result that may be below 0: 0.0164 is +1.64 %."""
    text = f"{value * 100:+,.2f}"
    return f"{text[1:] if float(text.replace(',', '')) == 0 else text.replace('-', MINUS)} %"


def share(value: float) -> str:
    """Write a share of a whole: 0.0164 is 1.64 %."""
    return f"{value * 100:,.2f} %".replace("-", MINUS)


def number(value: float) -> str:
    """Write a ratio."""
    return f"{value:,.2f}".replace("-", MINUS)


def _of_series(m: Measured) -> list[Word]:
    year = f"of a year of {m.periods_per_year:,g} periods"
    rows: list[tuple[str, str, Callable[[float], str], str]] = [
        ("returned", "Return", percent, "compounded, net of all that equity is net of"),
        ("baseline", "Return of the baseline", percent, "over the same periods"),
        ("cagr", "CAGR", percent, f"compounded, {year}"),
        ("volatility", "Volatility", share, f"standard deviation, {year}"),
        ("downside_risk", "Downside risk", share, f"deviation below 0, {year}"),
        ("sharpe", "Sharpe ratio", number, f"over cash at 0 %, {year}"),
        ("sortino", "Sortino ratio", number, f"over cash at 0 %, {year}"),
        ("calmar", "Calmar ratio", number, "CAGR ÷ deepest fall"),
        ("omega", "Omega ratio", number, "gains ÷ losses of periods, threshold 0"),
        ("tail_ratio", "Tail ratio", number, "95th ÷ 5th percentile of periods"),
        ("stability", "Stability", number, "R² of cumulative log returns, 0 to 1"),
        ("max_drawdown", "Deepest fall", share, "of the peak before it"),
        ("under_water", "Time under water", share, "of all points"),
    ]
    told = [
        _told(m, name, label, write(value) if (value := getattr(m, name)) is not None else None, how)
        for name, label, write, how in rows
    ]
    if m.fall:
        back = "not recovered" if m.fall.recovery is None else f"{m.fall.recovering:,} to recover"
        told.append(
            Word("Length of the deepest fall", f"{m.fall.lasted:,}", f"periods: {m.fall.falling:,} down, {back}")
        )
    told.append(Word("Longest under water", f"{m.longest_under_water:,}", "periods"))
    return told


def _of_proof(m: Measured) -> list[Word]:
    if m.proof is None:
        return [Word("Probabilistic Sharpe ratio", NOTHING, m.missing["proof"])]
    p = m.proof
    return [
        Word("Standard error of the Sharpe ratio", number(p.error), "of a year; for returns that are not normal"),
        Word("Probabilistic Sharpe ratio", share(p.psr), "probability that the true ratio is above 0"),
        Word("Deflated Sharpe ratio", share(p.dsr), f"the same with the trials counted: {_trials(p)}"),
        _needed(p),
    ]


def _trials(p: Proof) -> str:
    if p.trials == 1:
        return "one trial"
    spread = "the variance of their ratios" if p.spread_known else "the variance that chance alone gives"
    return f"best of {p.trials:,}; by {spread} it would show {number(p.by_chance)} without any skill"


def _needed(p: Proof) -> Word:
    name = "Periods still needed to tell"
    if p.needed is None:
        return Word(name, NOTHING, "no length would prove it: the ratio is not above 0")
    return Word(name, f"{p.needed:,}", "until that probability is 95 %, if it goes on like this")


def _of_draws(m: Measured) -> list[Word]:
    if m.drawn is None:
        return [Word("Interval", NOTHING, m.missing["drawn"])]
    d = m.drawn
    still, alone = "nothing moved", m.missing.get("baseline", "nothing moved")
    pairs: list[tuple[str, Spread | None, Callable[[float], str], str]] = [
        ("Interval of the return", d.returned, percent, still),
        ("Interval of the Sharpe ratio", d.sharpe, number, still),
        ("Return above the baseline", d.returned_over, percent, alone),
        ("Sharpe ratio above the baseline", d.sharpe_over, number, alone),
    ]
    return [
        Word(name, f"{write(spread.low)} to {write(spread.high)}", _how(spread)) if spread else Word(name, NOTHING, why)
        for name, spread, write, why in pairs
    ]


def _of_trades(m: Measured) -> list[Word]:
    t = m.trades
    positions = [
        _told(m, "turnover", "Turnover", number(m.turnover) if m.turnover is not None else None, "traded ÷ mean equity"),
        _told(m, "exposure", "Exposure", share(m.exposure) if m.exposure is not None else None, "mean |held| ÷ equity"),
        _told(m, "time_in_market", "Time in market", share(m.time_in_market) if m.time_in_market is not None else None,
              "of the span, at least one position open"),
    ]  # fmt: skip
    if not t.count:
        return [Word("Closed trades", "0", NO_TRADE), *positions]
    brier, base = t.calibration.brier, t.calibration.base
    return [
        Word("Closed trades", f"{t.count:,}", "positions from opening to end"),
        Word("Hit rate", share(t.hits.value or 0.0), f"after fees and funding; {_within(t.hits)}"),
        _or("Profit factor", t.profit_factor, number, "gains ÷ losses, net", "no trade lost"),
        _money("Expectancy", t.expectancy, "net result of a trade, mean, in the quote asset", NO_TRADE),
        _or("Expectancy ratio", t.expectancy_ratio, number, "expectancy ÷ average loss", "no trade lost"),
        _money("Average win", t.average_win, "net, in the quote asset", "no trade won"),
        _money("Average loss", t.average_loss, "net, in the quote asset", "no trade lost"),
        Word("Longest losing streak", f"{t.losing_streak:,}", "trades, in the order of closing"),
        Word("Holding time", _lasting(t.held_median), f"median; mean {_lasting(t.held_mean)}"),
        _or("Fees", t.fees_share, share, "of gross profit", "no trade brought anything before fees"),
        _or("Funding", t.funding_share, share, "paid, of gross profit", "no trade brought anything before fees"),
        *positions,
        _or("Brier score", brier, _fine, f"of stated confidence; the hit rate itself has {_fine(base or 0.0)}",
            "no trade had a stated confidence"),
    ]  # fmt: skip


def _told(m: Measured, name: str, label: str, text: str | None, how: str) -> Word:
    return Word(label, NOTHING, m.missing[name]) if text is None else Word(label, text, how)


def _or(name: str, value: float | None, write: Callable[[float], str], how: str, why: str) -> Word:
    return Word(name, NOTHING, why) if value is None else Word(name, write(value), how)


def _money(name: str, value: Decimal | None, how: str, why: str) -> Word:
    return Word(name, NOTHING, why) if value is None else Word(name, f"{value:+,.2f}".replace("-", MINUS), how)


def _fine(value: float) -> str:
    return f"{value:.3f}"


def _within(hits: Share) -> str:
    return f"95 % interval {share(hits.low)} to {share(hits.high)} (Wilson)"


def _how(spread: Spread) -> str:
    return f"{spread.level:.0%} of {spread.draws:,} draws in blocks of {spread.block:g} periods on average; {spread.above:.0%} above 0"


def _lasting(time: timedelta | None) -> str:
    """Write a length of time in minutes, hours or days."""
    minutes = 0.0 if time is None else time.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:,.0f} min"
    return f"{minutes / 60:,.1f} h" if minutes < 48 * 60 else f"{minutes / 1440:,.1f} d"
