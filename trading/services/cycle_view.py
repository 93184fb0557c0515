"""One finished cycle as JSON-ready data: what was seen, decided, ruled and done."""

from __future__ import annotations

from typing import Any

from decisions.domain.proposal import Ruling
from marketdata.domain.snapshot import MarketSnapshot
from trading.services.cycle import CycleResult
from trading.services.live import CycleRun


def cycle_view(run: CycleRun) -> dict[str, Any]:
    """Return a cycle that went through all nine steps. Amounts and prices are strings. Raises ValueError without a result."""
    if run.result is None:
        raise ValueError(f"cycle {run.cycle_id} has no result: it is {run.status}")
    result = run.result
    return {
        "cycle": run.cycle_id,
        "bot": result.question.bot.name,
        "decider": result.answer.model_served or result.question.bot.model,
        "at": result.snapshot.at.isoformat(),
        "seen": _seen(result.snapshot),
        "equity": f"{result.state.equity:f}",
        "positions": [
            {
                "symbol": position.symbol,
                "side": position.side.value,
                "quantity": f"{position.quantity:f}",
                "entry": f"{position.entry_price:f}",
                "unrealised": f"{position.unrealised:f}",
            }
            for position in result.state.positions
        ],
        "reading": _reading(result),
        "rulings": [_ruling(ruling) for ruling in result.rulings],
        "done": [{"symbol": deed.symbol, "action": deed.action.value, "text": deed.text} for deed in result.done],
        "timings": result.timings,
    }


def _seen(snapshot: MarketSnapshot) -> dict[str, Any]:
    return {
        symbol: {
            "last": f"{view.quote.last:f}",
            "mark": f"{view.quote.mark:f}",
            "ages": {name: age.total_seconds() for name, age in view.ages.items()},
            "problem": view.problem,
        }
        for symbol, view in snapshot.symbols.items()
    }


def _reading(result: CycleResult) -> dict[str, Any]:
    return {
        "outcome": result.reading.outcome.value,
        "reason": result.reading.reason,
        "held": dict(result.reading.held),
        "latency": round(result.answer.latency, 3),
    }


def _ruling(ruling: Ruling) -> dict[str, Any]:
    proposal = ruling.proposal
    return {
        "symbol": proposal.symbol,
        "action": proposal.action.value,
        "asked": None if proposal.quantity is None else f"{proposal.quantity:f}",
        "allowed": None if ruling.quantity is None else f"{ruling.quantity:f}",
        "leverage": ruling.leverage,
        "verdict": ruling.verdict.value,
        "rules": list(ruling.rule_ids),
        "hits": [{"rule": hit.rule, "text": hit.text, "numbers": dict(hit.numbers)} for hit in ruling.hits],
        "justification": proposal.justification,
    }
