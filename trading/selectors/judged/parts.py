"""Where the result of a subject came from: its trades by their properties, stated confidence, and kinds of market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trading.domain.attribution import Attribution, By, attribution
from trading.domain.calibration import Calibration, calibration_of
from trading.domain.regimes import OfRegime, by_regime, regimes
from trading.selectors.judged.beside import Market, market_of
from trading.selectors.judged.closed import Books, Closed
from trading.selectors.judged.lived import Lived
from trading.selectors.judged.subject import Subject

NAMES: Final = {
    By.SYMBOL: "symbol", By.SIDE: "side", By.HOUR: "hour of opening, UTC", By.HELD: "holding time", By.SIGNAL: "signal",
    By.MODEL: "model", By.EXIT: "exit",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parts:
    """Of what the result is made. `regimes` is empty where the closes of the first symbol are not stored."""

    closed: Closed
    by: Mapping[By, Attribution]
    calibration: Calibration
    regimes: tuple[OfRegime, ...]
    symbol: str
    """By whose closes a day is up, down or sideways."""


def parts_of(
    subject: Subject, lived: Lived, books: Books, *, by: Sequence[By] = tuple(By), market: Market | None = None
) -> Parts | None:
    """Return of what the result is made; None where no day is over. Three queries, one with a `market` that is read already."""
    if not lived.days:
        return None
    closed = books.closed
    market = market or market_of(subject, lived)
    told = calibration_of((each.confidence, each.won) for each in closed.trades if each.confidence is not None)
    return Parts(
        closed,
        {one: attribution(closed.trades, one) for one in by},
        told,
        tuple(_regimes(subject, lived, closed, market)) if market else (),
        market.closes.symbols[0] if market else "",
    )


def _regimes(subject: Subject, lived: Lived, closed: Closed, market: Market) -> list[OfRegime]:
    labels = regimes(market.daily())
    returns = zip(lived.days, lived.returns.tolist(), strict=True)
    opened = [(subject.zones.day_of(trade.opened_at), trade.won) for trade in closed.trades]
    return by_regime(returns, labels, opened)
