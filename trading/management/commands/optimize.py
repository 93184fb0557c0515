"""`manage.py optimize`: search the numbers of written rules, and judge what is found on time it was not found on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from trading.management.backtest_options import add_fills, add_limits, add_window, count, plan_of, source_of
from trading.management.progress import bars
from vibex.lib.commands import faults_told

if TYPE_CHECKING:
    from trading.services.backtest.search import Figures, Found

FOLDS: Final = 3
TRIES: Final = 50
DRAWS: Final = 2_000


class Command(BaseCommand):
    help = "Search the numbers of rules on a time, judge them on the time after it, and say what the best of so many is worth."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "strategy", help="Rules with numbers: trend or cross, some of them fixed as in cross:rsi=14."
        )
        add_window(parser)
        add_limits(parser)
        add_fills(parser)
        parser.add_argument(
            "--folds", type=count(50), default=FOLDS, help=f"Times to learn and judge on (default {FOLDS})."
        )
        parser.add_argument("--tries", type=count(100_000), default=TRIES, help=f"Per fold (default {TRIES}).")
        parser.add_argument("--objective", choices=("sharpe", "return"), default="sharpe", help="What is searched for.")
        parser.add_argument("--seed", type=int, default=0, help="Of the search (default 0).")
        parser.add_argument(
            "--keep", type=Path, help="File of what was tried, to go on from; default: one in the data folder."
        )
        parser.add_argument("--json", action="store_true", help="Print what was found as JSON.")

    def handle(self, **options: Any) -> None:
        # Imported here: the engine and Optuna are of no use to the other commands.
        from trading.services.backtest.search import search
        from trading.services.backtest.windows import folds_of

        with faults_told():
            plan = plan_of(options, f"rules/{options['strategy'].removeprefix('rules/')}")
            folds = folds_of(plan, options["folds"])
            market, _ = source_of(options).read()
            kept = options["keep"] or Path(settings.VIBEX_DATA_DIR) / "searches" / "tries.log"
            with bars([f"{fold.learn.start:%F} to {fold.learn.end:%F}" for fold in folds]) as bar:
                found = search(
                    plan=plan,
                    folds=folds,
                    market=market,
                    tries=options["tries"],
                    objective=options["objective"],
                    seed=options["seed"],
                    kept=kept,
                    tell=lambda place, done, wanted: bar(place, done / wanted),
                )
        if options["json"]:
            self.stdout.write(json.dumps(data_of(found, options["seed"]), indent=1))
            return
        for line in lines_of(found, options["seed"]):
            self.stdout.write(line)


def data_of(found: Found, seed: int) -> dict[str, Any]:
    """Return what was found as JSON-ready data. The same tries give the same bytes."""
    from trading.domain import ratios
    from trading.domain.bootstrap import bootstrap, sharpe_of_rows

    returns, year = found.returns, found.per_year
    sample = ratios.sample_of(returns)
    psr, dsr = found.chances
    drawn = None if sample is None else bootstrap(returns, sharpe_of_rows(year), draws=DRAWS, seed=seed)
    return {
        "strategy": found.model,
        "objective": found.objective,
        "searched": {name: [str(within.low), str(within.high)] for name, within in found.searched.items()},
        "tries": found.tries,
        "folds": [
            {
                "learned": [fold.fold.learn.start.isoformat(), fold.fold.learn.end.isoformat()],
                "judged": [fold.fold.judge.start.isoformat(), fold.fold.judge.end.isoformat()],
                "model": fold.model,
                "on_learned": _figures(fold.learned),
                "on_judged": _figures(fold.judged),
            }
            for fold in found.folds
        ],
        "judged": {
            "return": round(ratios.total_return(returns), 6),
            "sharpe": None if sample is None else round(sample.annual(year), 4),
            "interval": None if drawn is None else [_known(drawn.low), _known(drawn.high)],
            "probabilistic_sharpe": _known(psr),
            "deflated_sharpe": _known(dsr),
        },
    }


def lines_of(found: Found, seed: int) -> Iterator[str]:
    """Yield what was found for a person at a terminal."""
    told = data_of(found, seed)
    yield f"{found.model}: {', '.join(told['searched'])} searched for the best {found.objective}, {found.tries} tries"
    for fold in told["folds"]:
        yield ""
        yield f"learned {_span(fold['learned'])}   {_said(fold['on_learned'])}"
        yield f"judged  {_span(fold['judged'])}   {_said(fold['on_judged'])}"
        yield f"        {fold['model']}"
    judged = told["judged"]
    yield ""
    yield f"on time it was not learned from   {judged['return']:+.2%}, Sharpe {_number(judged['sharpe'])} a year"
    if judged["interval"] is not None:
        low, high = judged["interval"]
        yield f"  95 % interval of the Sharpe ratio  {_number(low)} to {_number(high)}, by {DRAWS:,} block bootstrap draws"
    yield f"  probability of a Sharpe above 0    {_percent(judged['probabilistic_sharpe'])}"
    yield f"  the same after {found.tries:,} tries  {_percent(judged['deflated_sharpe'])}  (deflated Sharpe ratio)"
    yield "The numbers of the last fold are the newest; they are worth what was judged, not what was learned."


def _figures(figures: Figures) -> dict[str, Any]:
    return {"return": round(figures.returned, 6), "sharpe": _known(figures.sharpe), "trades": figures.trades}


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def _span(span: list[str]) -> str:
    return f"{span[0][:10]} to {span[1][:10]}"


def _said(figures: dict[str, Any]) -> str:
    return f"{figures['return']:+8.2%}  Sharpe {_number(figures['sharpe']):>6}  {figures['trades']} trades"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"
