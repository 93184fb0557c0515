"""An arena as data for JSON, as a table for a terminal, and as the sentences that belong beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from decisions.domain.shares import Share
from trading.domain.repeats import Agreement, Range
from trading.services.backtest.arena import FEWEST, Arena, Entrant
from trading.services.backtest.deciders import is_model
from trading.services.backtest.sampled import grid_of

HEADS: Final = (
    "model", "runs", "return", "Sharpe", "drawdown", "trades", "hits", "held", "cost $", "agrees", "window",
)  # fmt: skip
NONE: Final = "–"


def arena_data(arena: Arena) -> dict[str, Any]:
    """Return an arena for JSON. Shares and returns are fractions, costs US dollars; None is not known."""
    true, key = arena.stage.true, arena.stage.key
    return {
        "symbols": list(true.symbols),
        "from": true.start.isoformat(),
        "to": true.end.isoformat(),
        "interval": true.interval,
        "timeframes": list(true.timeframes),
        "capital": str(true.capital),
        "repeats": arena.times,
        "masked": None
        if key is None
        else {
            "seed": key.seed,
            "weeks": key.weeks,
            "symbols": dict(key.symbols),
            "factors": {name: str(factor) for name, factor in key.factors.items()},
        },
        "models": [_entrant(arena, entrant) for entrant in arena.entrants],
        "pairs": [
            {"first": pair.first, "second": pair.second, **(_agreement(pair.agreement) or {})} for pair in arena.pairs
        ],
        "baselines": {each.kind.name: each.ran.returned for each in arena.baselines.runs} if arena.baselines else {},
        "paid_now": str(arena.paid),
        "asked_now": arena.tally.asked,
        "found": arena.tally.found,
        "unanswered": arena.tally.unanswered,
        "unfinished": [
            {"model": run.plan.model, "repeat": run.plan.asks.repeat, "why": run.why} for run in arena.unfinished
        ],
        "notes": list(arena_notes(arena)),
    }


def table_of(arena: Arena) -> list[tuple[str, ...]]:
    """Return the leaderboard as cells, the heads first."""
    return [HEADS, *(_cells(entrant) for entrant in arena.entrants)]


def arena_lines(arena: Arena) -> Iterator[str]:
    """Yield what stands below the leaderboard."""
    if arena.baselines:
        yield "baselines    " + ", ".join(f"{each.kind.name} {each.ran.returned:+.2%}" for each in arena.baselines.runs)
    for entrant in arena.entrants:
        if beyond := entrant.beyond(arena.baselines):
            yield f"beyond them  {entrant.model}: " + ", ".join(f"{name} {d:+.2%}" for name, d in beyond.items())
    for pair in arena.pairs:
        actions, entries = pair.agreement.actions, pair.agreement.entries
        yield f"alike        {pair.first} and {pair.second}: {_share(actions)} of actions, {_share(entries)} of entries"
    for entrant in arena.entrants:
        yield f"window       {entrant.model}: {entrant.stamp.text}"
    tally = arena.tally
    yield (
        f"money        {arena.paid:.4f} US dollars paid now for {tally.asked} questions; {tally.found} were answered "
        f"before ({tally.worth:.4f} US dollars then)"
    )
    yield from (f"unfinished   {run.plan.model} repeat {run.plan.asks.repeat}: {run.why}" for run in arena.unfinished)
    yield from (f"note         {note}" for note in arena_notes(arena))


def arena_notes(arena: Arena) -> Iterator[str]:
    """Yield what a reader has to know before the figures mean anything."""
    grid = grid_of(arena.stage.true)
    yield (
        f"returns are net of fees, funding, slippage and what the model cost; Sharpe ratios are of a year, from {grid.named}; "
        "intervals are means of those of the single runs (bootstrap, 95 %)"
    )
    if arena.times < FEWEST and any(is_model(entrant.model) for entrant in arena.entrants):
        yield f"{arena.times} of at least {FEWEST} repeats that a comparison needs: a difference may be the dice's"
    if arena.unfinished:
        yield "some runs are not finished: start the same command again, what was paid for is not asked again"
    seen = [note for entrant in arena.entrants for run in entrant.repeats.runs for note in run.backtest.notes]
    yield from dict.fromkeys(seen)


def _entrant(arena: Arena, entrant: Entrant) -> dict[str, Any]:
    repeats = entrant.repeats
    interval = repeats.sharpe_interval
    return {
        "model": entrant.model,
        "window": {"kind": entrant.stamp.kind.value, "text": entrant.stamp.text},
        "cutoff": entrant.cutoff.isoformat() if entrant.cutoff else None,
        "runs": len(repeats.runs),
        "return": _range(repeats.returned),
        "sharpe": _range(repeats.sharpe),
        "sharpe_interval": list(interval) if interval else None,
        "drawdown": _range(repeats.drawdown),
        "trades": _range(repeats.trades),
        "hits": _shared(repeats.hits),
        "held": _shared(repeats.held),
        "cost": _range(repeats.cost),
        "agreement": _agreement(repeats.agreement),
        "useless_replies": sum(run.useless for run in repeats.runs),
        "beyond": dict(entrant.beyond(arena.baselines)),
    }


def _cells(entrant: Entrant) -> tuple[str, ...]:
    repeats = entrant.repeats
    interval, agreement = repeats.sharpe_interval, repeats.agreement
    sharpe = NONE if repeats.sharpe is None else f"{repeats.sharpe.mean:+.2f}"
    return (
        entrant.model,
        str(len(repeats.runs)),
        _spread(repeats.returned),
        sharpe if interval is None else f"{sharpe} [{interval[0]:+.1f}, {interval[1]:+.1f}]",
        NONE if repeats.drawdown is None else f"{repeats.drawdown.mean:.2%}",
        NONE if repeats.trades is None else f"{repeats.trades.mean:.1f}",
        _share(repeats.hits),
        _share(repeats.held),
        NONE if repeats.cost is None else f"{repeats.cost.mean:.4f}",
        NONE if agreement is None else _share(agreement.actions),
        entrant.stamp.kind.value,
    )


def _spread(found: Range | None) -> str:
    """Return a mean with its error, and the range."""
    if found is None:
        return NONE
    error = "" if found.error is None else f" ± {found.error:.2%} [{found.low:+.2%}, {found.high:+.2%}]"
    return f"{found.mean:+.2%}{error}"


def _share(share: Share) -> str:
    return NONE if share.value is None else f"{share.value:.0%}"


def _range(found: Range | None) -> dict[str, float | int | None] | None:
    if found is None:
        return None
    return {"mean": found.mean, "error": found.error, "low": found.low, "high": found.high, "runs": found.count}


def _shared(share: Share) -> dict[str, Any]:
    return {"part": share.part, "whole": share.whole, "share": share.value, "low": share.low, "high": share.high}


def _agreement(agreement: Agreement | None) -> dict[str, Any] | None:
    if agreement is None:
        return None
    return {"actions": _shared(agreement.actions), "entries": _shared(agreement.entries)}
