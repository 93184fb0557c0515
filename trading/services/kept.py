"""What rules were given in a cycle, as JSON beside its question, so that it can be ruled again as it was.

That is what stood against entries, what the account did lately, and the prices and the book that an entry was ruled at:
they are younger than the market that was asked about. Of a book the side that would be crossed is kept, as far as twice
the slippage that was allowed: rules look no farther than once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from decisions.domain.kept import Kept, Unkept, check_form, instruments_from, packed, question_kept, unpacked
from decisions.domain.proposal import Proposal, Side
from decisions.domain.question import Question
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote, SymbolView
from trading.domain.history import Ended, History
from trading.domain.risk import Standing

REACH: Final = 2
"""So many times the allowed slippage a book is kept."""
SIDES: Final = {side.sign: side for side in Side}
DAWN: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class LiveView:
    """What was known of a symbol when an entry on it was ruled."""

    quote: Quote
    problem: str | None = None
    reason: Mapping[str, Any] | None = None
    depth: Depth | None = None


def cycle_kept(question: Question, standing: Standing, live: MarketSnapshot, proposals: Sequence[Proposal]) -> Kept:
    """Return all that a replay needs of a cycle besides its market, its texts and its reply."""
    younger = {name: view for name, view in live.symbols.items() if view is not question.snapshot.symbols.get(name)}
    crossed = {proposal.symbol: proposal.side for proposal in proposals if proposal.action.opens}
    slippage = question.limits.max_slippage
    return {
        **question_kept(question),
        "standing": {"state": standing.state, "bot": standing.bot, "blocked": packed(standing.blocked)},
        "history": _history_kept(standing.history),
        "live": {name: packed(_live(view, crossed.get(name), slippage)) for name, view in younger.items()},
    }


def standing_from(kept: Mapping[str, Any]) -> Standing:
    """Return what stood against entries. Raises Unkept."""
    check_form(kept)
    standing: Standing = unpacked(Standing, kept.get("standing", {}))
    return replace(standing, history=_history_from(kept.get("history", {})))


def live_from(kept: Mapping[str, Any], snapshot: MarketSnapshot) -> MarketSnapshot:
    """Return the market with the prices that its entries were ruled at. Raises Unkept."""
    check_form(kept)
    views = dict(snapshot.symbols)
    for name, row in kept.get("live", {}).items():
        if name in views:
            seen = unpacked(LiveView, row)
            views[name] = replace(
                views[name], quote=seen.quote, problem=seen.problem, reason=seen.reason or {}, depth=seen.depth
            )
    return replace(snapshot, symbols=views)


def specs_from(kept: Mapping[str, Any]) -> dict[str, InstrumentSpec]:
    """Return the rules of the contracts as the account had them, by symbol. Raises Unkept."""
    return instruments_from(kept)


def _live(view: SymbolView, side: Side | None, slippage: Decimal) -> LiveView:
    depth = None if view.depth is None or side is None else _within(view.depth, view.quote, side, slippage * REACH)
    return LiveView(view.quote, view.problem, view.reason or None, depth)


def _within(depth: Depth, quote: Quote, side: Side, reach: Decimal) -> Depth:
    """Return the side of a book that would be crossed, up to and with the first level out of reach."""
    levels = depth.asks if side is Side.LONG else depth.bids
    worst = (quote.ask if side is Side.LONG else quote.bid) * (1 + side.sign * reach)
    inside = next((at for at, (price, _) in enumerate(levels) if (price - worst) * side.sign > 0), len(levels))
    kept = levels[: inside + 1]
    return replace(depth, asks=kept if side is Side.LONG else (), bids=() if side is Side.LONG else kept)


def _history_kept(history: History) -> Kept:
    """Return the history in rows of numbers, times in microseconds: it is the longest part, and so a third as long."""
    names = sorted({one.symbol for one in history.ended})
    places = {name: place for place, name in enumerate(names)}
    ended = [
        [
            places[one.symbol],
            one.side.sign,
            _micros(one.ended_at),
            (one.ended_at - one.opened_at) // MICROSECOND,
            str(one.net),
        ]
        for one in history.ended
    ]
    return {"opened": [_micros(at) for at in history.opened], "names": packed(names), "ended": ended}


def _history_from(rows: Mapping[str, Any]) -> History:
    try:
        names = rows.get("names", ())
        opened = tuple(map(_moment, rows.get("opened", ())))
        ended = tuple(
            Ended(names[place], SIDES[sign], _moment(end - held), _moment(end), Decimal(net))
            for place, sign, end, held, net in rows.get("ended", ())
        )
    except (TypeError, ValueError, LookupError, ArithmeticError) as fault:
        raise Unkept(f"what was kept of the account's history cannot be read: {fault}", code="kept") from None
    return History(opened, ended)


def _micros(at: datetime) -> int:
    return (at - DAWN) // MICROSECOND


def _moment(micros: int) -> datetime:
    return DAWN + micros * MICROSECOND
