"""The figures of a backtest's report as rows of text, for its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from decisions.domain.funnel import Step
from decisions.domain.visible import visible
from trading.domain.attribution import By
from trading.domain.measured_words import NOTHING, Word, number, percent, share, words
from trading.services.backtest.baselines import RANDOM
from trading.services.backtest.judged import Drawdown, Judged
from trading.services.backtest.judged_words import needed
from trading.services.backtest.stamp import Kind
from trading.services.journal.kept import KeptPosition

MOST_TEXT: Final = 400
"""Characters of what was given as the reason of an entry."""
ELSEWHERE: Final = frozenset(
    {"Deepest fall", "Time under water", "Length of the deepest fall", "Longest under water", "Return of the baseline"}
)
"""Figures that stand elsewhere in the report, seen more finely."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A step of the funnel: how many came through, as a share of the first, and why the others did not."""

    name: str
    count: int
    width: str
    ended: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: its name, then its cells as text, `tone` gain or loss by its result."""

    name: str
    cells: tuple[str, ...]
    tone: str = ""
    note: str = ""


def cards_of(judged: Judged) -> Iterator[Word]:
    """Yield what to see first."""
    m, luck, fall = judged.measured, judged.luck, judged.drawdown
    yield Word(
        "Net return",
        percent(judged.ran.returned),
        f"after fees, funding, slippage and {judged.cost:,.2f} USD for models",
    )
    if m.drawn is not None and m.drawn.sharpe is not None:
        spread = m.drawn.sharpe
        within = f"95 % interval {number(spread.low)} to {number(spread.high)}"
        yield Word("Sharpe ratio", number(spread.value), within + ("" if spread.tells else ": it may be nothing"))
    else:
        yield Word("Sharpe ratio", NOTHING, m.missing.get("sharpe", m.missing.get("drawn", "nothing moved")))
    if m.proof is not None:
        trials = f"{judged.trials:,} trial{'s' if judged.trials != 1 else ''} counted; PSR {share(m.proof.psr)}"
        yield Word("Deflated Sharpe ratio", share(m.proof.dsr), trials)
    else:
        yield Word("Deflated Sharpe ratio", NOTHING, m.missing["proof"])
    yield Word(
        "Days still needed", NOTHING if judged.days_needed is None else f"{judged.days_needed:,.0f}", needed(judged)
    )
    yield Word("Deepest fall", share(fall.depth), _fall(fall))
    hits = m.trades.hits
    won = f"won {hits.part:,} of {hits.whole:,}, 95 % interval {share(hits.low)} to {share(hits.high)}"
    yield Word(
        "Hit rate", NOTHING if hits.value is None else share(hits.value), won if hits.whole else "no trade was closed"
    )
    if luck.returned.whole:
        beaten = f"beats {luck.returned.part} of {luck.returned.whole} seeds by return"
        yield Word("As good by chance", share(luck.chance or 0.0), beaten)


def words_of(judged: Judged) -> list[Word]:
    """Return all figures with unit and convention."""
    fall, ran = judged.drawdown, judged.ran
    fine = [
        Word("Deepest fall, at every decision", share(fall.depth), _fall(fall)),
        Word("Time below the peak", share(fall.under_water), f"of all decisions; longest {_lasting(fall.longest)}"),
        Word("Fees paid", f"{ran.fees:,.2f}", "in the quote asset, open positions included"),
        Word("Funding received", f"{ran.funding:+,.2f}".replace("-", "−"), "received less paid, in the quote asset"),
        Word("Cost of models", f"{judged.cost:,.2f}", "US dollars, every request counted"),
    ]
    return [*(word for word in words(judged.measured) if word.name not in ELSEWHERE), *fine]


def _fall(fall: Drawdown) -> str:
    if fall.peak_at is None or fall.trough_at is None:
        return "equity never fell"
    back = f"recovered on {_at(fall.recovered_at)}" if fall.recovered_at else "not recovered"
    return f"from {_at(fall.peak_at)} to {_at(fall.trough_at)}, {back}"


def baselines_of(judged: Judged) -> Iterator[Row]:
    """Yield the bot, each baseline, and entries at random."""
    ran = judged.ran
    own = (
        percent(ran.returned),
        _ratio(ran.sharpe),
        share(ran.drawdown),
        f"{ran.trades:,}",
        number(ran.turnover),
        "",
        "",
    )
    yield Row("this bot", own, _tone(ran.returned))
    for each in judged.against:
        other, over = each.baseline.ran, each.returned
        told = (NOTHING, "") if over is None else (percent(over.value), f"{percent(over.low)} to {percent(over.high)}")
        cells = (
            percent(other.returned),
            _ratio(other.sharpe),
            share(other.drawdown),
            f"{other.trades:,}",
            number(other.turnover),
            *told,
        )
        yield Row(each.baseline.kind.name, cells, _tone(other.returned), each.baseline.kind.words)
    random = judged.baselines.random
    if random.seeds:
        ratios = [each for each in random.sharpe if each is not None]
        middle = [
            dict(random.quantiles(values))[0.5] if values else None
            for values in (random.returned, ratios, random.drawdown)
        ]
        low, high = (dict(random.quantiles(random.returned))[at] for at in (0.05, 0.95))
        cells = (
            percent(middle[0] or 0.0),
            _ratio(middle[1]),
            share(middle[2] or 0.0),
            f"{sum(random.trades) / random.seeds:,.0f}",
            number(sum(random.turnover) / random.seeds),
            percent(judged.ran.returned - (middle[0] or 0.0)),
            f"{percent(judged.ran.returned - high)} to {percent(judged.ran.returned - low)}",
        )
        yield Row(
            f"random, {random.seeds} seeds",
            cells,
            _tone(middle[0] or 0.0),
            f"median; {RANDOM}; leverage {random.leverage}",
        )


def bars_of(steps: Sequence[Step]) -> list[Bar]:
    """Return steps of the funnel as bars."""
    first = steps[0].count or 1
    return [
        Bar(step.name, step.count, f"{100 * step.count / first:.2f}%", ", ".join(f"{why} {count:,}" for why, count in step.ended.items()))
        for step in steps
    ]  # fmt: skip


def attributed(judged: Judged, by: By) -> list[Row]:
    """Return groups of trades by one of their properties, and their total."""
    told = judged.attribution[by]
    return [
        Row(
            visible(line.key),
            (
                f"{line.count:,}",
                share(line.hits.value or 0.0),
                _money(line.net_after_cost),
                _money(line.gross),
                _money(-line.fees),
                _money(line.funding),
                _money(-line.cost),
            ),
            _tone(float(line.net_after_cost)),
        )
        for line in (*told.lines, told.total)
    ]


def calibration_of(judged: Judged) -> dict[str, Any]:
    """Return stated confidence beside what came of it."""
    told = judged.measured.trades.calibration
    rows = [
        Row(
            f"{bucket.low:.1f} to {bucket.high:.1f}",
            (
                f"{bucket.hits.whole:,}",
                f"{bucket.stated:.2f}",
                share(bucket.hits.value or 0.0),
                f"{share(bucket.hits.low)} to {share(bucket.hits.high)}",
                bucket.verdict or "may fit",
            ),
        )
        for bucket in told.buckets
    ]
    return {
        "rows": rows,
        "brier": "" if told.brier is None else f"{told.brier:.3f}",
        "base": "" if told.base is None else f"{told.base:.3f}",
        "few": told.few,
        "rules": judged.stamp.kind is Kind.RULES,
    }


def regimes_of(judged: Judged) -> Iterator[Row]:
    """Yield what was earned in each kind of market."""
    for row in judged.regimes:
        won = "–" if row.hits.value is None else f"{share(row.hits.value)} of {row.hits.whole:,}"
        cells = (f"{row.days:,}", percent(row.returned), _ratio(row.sharpe), share(row.drawdown), won)
        yield Row(row.regime.value, cells, _tone(row.returned))


def trade_of(kept: KeptPosition) -> Row:
    """Return a position as a row, with the reason that was given for it."""
    booked, proposal = kept.booked, kept.ruling.proposal if kept.ruling else None
    closed = booked.closed_at
    cells = (
        booked.side.value,
        _at(booked.opened_at),
        _at(closed) if closed else "open",
        _lasting(closed - booked.opened_at) if closed else NOTHING,
        f"{booked.bought.normalize():f}",
        f"{booked.entry_price:.7g}",
        NOTHING if booked.exit_price is None else f"{booked.exit_price:.7g}",
        kept.exit_reason or NOTHING,
        _money(booked.fees),
        _money(booked.funding),
        _money(booked.net),
    )
    said = visible(proposal.justification)[:MOST_TEXT] if proposal else ""
    return Row(booked.symbol, cells, _tone(float(booked.net)), said)


def settings_of(plan: Mapping[str, Any], judged: Judged) -> Iterator[tuple[str, str]]:
    """Yield names and values of all that was set."""
    for name, value in plan.items():
        if name in ("fills", "asks"):
            yield from ((f"{name}: {key}", str(each)) for key, each in value.items())
        elif name != "limits":
            yield name, ", ".join(value) if isinstance(value, list) else visible(str(value))[:MOST_TEXT]
    yield "trials", f"{judged.trials:,}"
    yield "seed of the bootstrap", str(judged.seed)
    seeds = judged.baselines.random.seeds
    yield "seeds of entries at random", f"0 to {seeds - 1}" if seeds else "none"


# -- words -------------------------------------------------------------------------------------------------


def _ratio(value: float | None) -> str:
    return NOTHING if value is None else number(value)


def _tone(value: float) -> str:
    return "gain" if value > 0 else "loss" if value < 0 else ""


def _money(amount: Decimal) -> str:
    text = f"{amount:+,.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def listed(counts: Mapping[str, int]) -> str:
    """Return counts as text."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _at(at: datetime) -> str:
    return f"{at:%d %b %Y %H:%M}"


def _lasting(time: timedelta) -> str:
    minutes = time.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:,.0f} min"
    return f"{minutes / 60:,.1f} h" if minutes < 48 * 60 else f"{minutes / 1440:,.1f} d"
