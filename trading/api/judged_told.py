"""How what results are worth is told: plain values, amounts as text, nothing that is no number."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from trading.domain.attribution import Attribution, By, Line
from trading.domain.bootstrap import Spread
from trading.domain.calibration import Calibration
from trading.domain.measured import Measured
from trading.domain.measured_words import convention
from trading.domain.regimes import OfRegime
from trading.selectors.judged.all import Judged
from trading.selectors.judged.beside import HOW, Beside
from trading.selectors.judged.figures import Figures
from trading.selectors.judged.lived import Booked, Lived
from trading.selectors.judged.subject import Subject

type Told = dict[str, Any]

BY: Final[Mapping[str, By]] = {
    "symbol": By.SYMBOL, "side": By.SIDE, "hour": By.HOUR, "holding": By.HELD, "signal": By.SIGNAL, "model": By.MODEL,
    "exit": By.EXIT,
}  # fmt: skip
NAMES: Final = {by: name for name, by in BY.items()}
PLACES: Final = Decimal("1e-8")
OF_SERIES: Final = (
    "periods", "cagr", "volatility", "sharpe", "sortino", "calmar", "downside_risk", "omega", "tail_ratio", "stability",
    "max_drawdown", "under_water", "longest_under_water", "turnover", "exposure", "time_in_market",
)  # fmt: skip
OF_BASELINE: Final = frozenset({"baseline", "drawn"})
"""Of these nothing is told here: baselines stand by themselves, and intervals are null where there are none."""


def told(subject: Subject, found: Judged) -> Told:
    """Return the answer."""
    figures, measured = found.figures, found.figures.measured if found.figures else None
    drawn, parts = measured.drawn if measured else None, found.parts
    return {
        "of": _subject(subject),
        "days": _days(found.lived),
        "booked": _booked(found.lived.booked),
        "figures": _figures(measured) if measured else None,
        "proof": _proof(measured) if measured else None,
        "return_interval": _spread(drawn.returned) if drawn else None,
        "sharpe_interval": _spread(drawn.sharpe) if drawn else None,
        "trials": _trials(figures) if figures else None,
        "repeats": _repeats(figures) if figures else None,
        "stamp": {"state": figures.stamp.state, "words": figures.stamp.words} if figures else None,
        "baselines": list(map(_baseline, found.beside.rows)) if found.beside else None,
        "random": {"draws": len(found.beside.fan), "above": found.beside.above} if found.beside else None,
        "how": HOW,
        "trades_cut": parts.closed.cut if parts else False,
        "attribution": list(map(_attribution, parts.by.values())) if parts else [],
        "calibration": _calibration(parts.calibration) if parts else None,
        "regimes": list(map(_regime, parts.regimes)) if parts else [],
        "funnel": [
            {"name": stage.name, "count": stage.count, "ended": dict(stage.ended)}
            for stage in found.decided.funnel.stages
        ]
        if found.decided
        else [],
    }


def _subject(subject: Subject) -> Told:
    return {
        "kind": subject.kind,
        "key": subject.key,
        "name": subject.name,
        "market": subject.account.market,
        "accounts": [each.pk for each in subject.accounts],
        "bots": [each.pk for each in subject.bots],
        "model": subject.model,
    }


def _days(lived: Lived) -> Told:
    return {
        "first": lived.days[0] if lived.days else None,
        "last": lived.days[-1] if lived.days else None,
        "count": len(lived.days),
        "missing": lived.gaps,
        "of_equity": lived.alone,
        "basis": lived.basis,
    }


def _booked(booked: Booked) -> Told:
    return {
        "net": _text(booked.net),
        "gross": _text(booked.realised),
        "fees": _text(booked.fees),
        "funding": _text(booked.funding),
        "model_cost": _text(booked.cost),
        "net_after_cost": _text(booked.net_after_cost),
        "turnover": _text(booked.turnover),
        "trades": booked.closed,
        "won": booked.won,
    }


def _figures(measured: Measured) -> Told:
    return {
        "return": measured.returned,
        **{name: getattr(measured, name) for name in OF_SERIES},
        "missing": {name: why for name, why in measured.missing.items() if name not in OF_BASELINE},
        "convention": convention(measured),
    }


def _proof(measured: Measured) -> Told | None:
    proof = measured.proof
    if proof is None:
        return None
    return {name: getattr(proof, name) for name in ("error", "psr", "dsr", "by_chance", "needed")}


def _spread(spread: Spread | None) -> Told | None:
    if spread is None:
        return None
    return {
        "value": spread.value,
        "low": spread.low,
        "high": spread.high,
        "above_zero": spread.above,
        "draws": spread.draws,
        "block": spread.block,
    }


def _trials(figures: Figures) -> Told:
    trials = figures.trials
    return {"number": trials.number, "counted": trials.counted, "words": trials.words}


def _repeats(figures: Figures) -> Told | None:
    repeats = figures.repeats
    if repeats.count < 2:
        return None
    return {
        "bots": [bot.pk for bot in repeats.bots],
        "days": repeats.days,
        "returns": list(repeats.returned),
        "mean": repeats.mean,
        "error": repeats.error,
    }


def _baseline(row: Beside) -> Told:
    return {
        "name": row.name,
        "words": row.words,
        "return": row.returned,
        "max_drawdown": row.drawdown,
        "sharpe": row.sharpe,
        "above": _spread(row.over),
        "verdict": row.verdict,
    }


def _attribution(table: Attribution) -> Told:
    return {"by": NAMES[table.by], "lines": list(map(_line, table.lines)), "total": _line(table.total)}


def _line(line: Line) -> Told:
    return {
        "key": line.key,
        "trades": line.count,
        "won": line.hits.part,
        "gross": _text(line.gross),
        "fees": _text(line.fees),
        "funding": _text(line.funding),
        "model_cost": _text(line.cost),
        "net_after_cost": _text(line.net_after_cost),
        "share": line.share,
    }


def _calibration(found: Calibration) -> Told:
    return {
        "brier": found.brier,
        "of_hit_rate": found.base,
        "buckets": [
            {
                "low": bucket.low,
                "high": bucket.high,
                "stated": bucket.stated,
                "trades": bucket.hits.whole,
                "won": bucket.hits.part,
                "verdict": bucket.verdict,
            }
            for bucket in found.buckets
        ],
    }


def _regime(row: OfRegime) -> Told:
    return {
        "regime": row.regime.value,
        "days": row.days,
        "return": row.returned,
        "max_drawdown": row.drawdown,
        "sharpe": row.sharpe,
        "trades": row.hits.whole,
        "won": row.hits.part,
    }


def _text(amount: Decimal) -> str:
    """Return an amount as `Amount` does: without trailing zeros, and never a negative zero."""
    exact = amount.quantize(PLACES).normalize()
    return f"{exact:f}" if exact else "0"
