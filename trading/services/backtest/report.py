"""What a backtest found, as JSON-ready data and as lines for a person. The same inputs give the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from decimal import Decimal
from hashlib import sha256
from typing import Any

from decisions.domain.proposal import Verdict
from decisions.domain.providers import RULES
from marketdata.recorded_market import RecordedMarket
from trading.domain.performance import max_drawdown
from trading.domain.venue import ZERO, IncomeKind
from trading.services.backtest.origin import code_of, data_of
from trading.services.backtest.plain import plain
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.run import Backtest, uncollected
from trading.services.journal.kept import KeptPosition
from trading.services.journal.memory import MemoryJournal

CENT = Decimal("0.01")


def report_of(backtest: Backtest, *, market: RecordedMarket | None = None) -> dict[str, Any]:
    """Return plan, equity, totals, trades, rulings and incidents. Amounts are strings in quote units.

    With the market that it ran on, or where the backtest brings them, the digests of all that was recorded are there too.
    """
    with uncollected():
        return _report_of(backtest, market)


def _report_of(backtest: Backtest, market: RecordedMarket | None) -> dict[str, Any]:
    journal = backtest.journal
    points, equities = journal.points, [point.equity for point in journal.points]
    return {
        "plan": _plan(backtest.plan),
        "market": backtest.market,
        "code": code_of(),
        "data": data_of(market, backtest.plan.symbols) if market else dict(backtest.data),
        "equity": {
            "start": _money(backtest.plan.capital),
            "end": _money(equities[-1]),
            "return": str(round(equities[-1] / backtest.plan.capital - 1, 6)),
            "max_drawdown": str(round(max_drawdown(equities), 6)),
        },
        "totals": _totals(journal),
        "counts": _counts(backtest),
        "rulings": _rulings(journal),
        "trades": [_trade(position) for position in journal.closed],
        "open": [_trade(position) for position in journal.open.values()],
        "incidents": sorted(f"{kind}: {text}" for kind, text in journal.incidents),
        "notes": list(backtest.notes),
        "series": [[point.at.isoformat(), _money(equity)] for point, equity in zip(points, equities, strict=True)],
    }


def lines_of(report: dict[str, Any]) -> Iterator[str]:
    """Yield the report for a person at a terminal."""
    plan, equity, totals, counts = report["plan"], report["equity"], report["totals"], report["counts"]
    yield f"{plan['decider']} on {', '.join(plan['symbols'])}, {plan['interval']}, {plan['from']} to {plan['to']}"
    yield report["market"]
    yield ""
    yield f"equity        {equity['start']} to {equity['end']} ({Decimal(equity['return']):+.2%})"
    yield f"max drawdown  {Decimal(equity['max_drawdown']):.2%}"
    yield f"realised      {totals['realised']}   fees {totals['fees']}   funding {totals['funding']}"
    yield f"trades        {counts['trades']} closed, {counts['open']} open; {_listed(counts['by_side'])}"
    yield f"exits         {_listed(counts['by_exit'])}"
    yield f"symbols       {_listed(counts['by_symbol'])}"
    yield f"rulings       {_listed(report['rulings']['verdicts'])}"
    yield f"rules         {_listed(report['rulings']['rules'])}"
    yield from (f"incident      {text}" for text in report["incidents"])
    yield from (f"note          {text}" for text in report["notes"])


def _plan(plan: BacktestPlan) -> dict[str, Any]:
    return {
        "decider": plan.model,
        "symbols": list(plan.symbols),
        "from": plan.start.isoformat(),
        "to": plan.end.isoformat(),
        "interval": plan.interval,
        "timeframes": list(plan.timeframes),
        "capital": _money(plan.capital),
        "limits": {name: str(value) for name, value in asdict(plan.limits).items()},
        "approval": plan.approval,
        "fee": "of each contract" if plan.fee is None else f"{plan.fee:f}",
        "fills": plain(plan.fills),
        "volume_share": "all that it wants" if plan.volume_share is None else f"{plan.volume_share:f}",
        "latency": "the next open" if plan.latency is None else plan.latency.total_seconds(),
        "asks": _asks(plan),
    }


def _asks(plan: BacktestPlan) -> dict[str, Any]:
    """Return how a model is asked, with the digest of its template; nothing for rules, which nobody asks in words."""
    if plan.model.startswith(f"{RULES}/"):
        return {}
    told: dict[str, Any] = plain(plan.asks)
    told["template"] = sha256(told["template"].encode()).hexdigest() if told["template"] else ""
    return told


def _totals(journal: MemoryJournal) -> dict[str, str]:
    kinds = Counter[IncomeKind]()
    for line in journal.ledger.values():
        kinds[line.kind] += line.amount  # type: ignore[assignment]  # a Counter adds Decimals as well
    realised, funding = Decimal(kinds[IncomeKind.REALIZED_PNL]), Decimal(kinds[IncomeKind.FUNDING_FEE])
    fees = -Decimal(kinds[IncomeKind.COMMISSION])
    other = sum((Decimal(kinds[kind]) for kind in (IncomeKind.LIQUIDATION_FEE, IncomeKind.INSURANCE_CLEAR)), ZERO)
    unrealised = journal.points[-1].unrealised if journal.points else ZERO
    return {
        "realised": _money(realised),
        "fees": _money(fees),
        "funding": _money(funding),
        "liquidation": _money(other),
        "unrealised": _money(unrealised),
    }


def _counts(backtest: Backtest) -> dict[str, Any]:
    closed = backtest.journal.closed
    return {
        "cycles": backtest.steps,
        "trades": len(closed),
        "open": len(backtest.journal.open),
        "by_exit": _count(position.exit_reason for position in closed),
        "by_side": _count(position.booked.side.value for position in closed),
        "by_symbol": _count(position.booked.symbol for position in closed),
    }


def _rulings(journal: MemoryJournal) -> dict[str, Any]:
    spoken = (hit.rule for ruling in journal.rulings for hit in ruling.hits)
    asked = [ruling for ruling in journal.rulings if ruling.proposal.action.opens or ruling.verdict is Verdict.REFUSED]
    return {"verdicts": _count(ruling.verdict.value for ruling in asked), "rules": _count(spoken)}


def _trade(position: KeptPosition) -> dict[str, Any]:
    booked = position.booked
    return {
        "symbol": booked.symbol,
        "side": booked.side.value,
        "quantity": f"{booked.bought:f}",
        "leverage": position.leverage,
        "opened": booked.opened_at.isoformat(),
        "closed": booked.closed_at.isoformat() if booked.closed_at else None,
        "entry": _price(booked.entry_price),
        "exit": None if booked.exit_price is None else _price(booked.exit_price),
        "stop": None if position.stop is None else f"{position.stop:f}",
        "target": None if position.target is None else f"{position.target:f}",
        "reason": position.exit_reason,
        "realised": _money(booked.realised),
        "fees": _money(booked.fees),
        "funding": _money(booked.funding),
        "net": _money(booked.net),
    }


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(CENT):f}"


def _price(price: Decimal) -> str:
    return f"{price:.10g}"
