"""Several backtests side by side, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any


def table_of(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each report, by its name, and one about all of them together: never the best alone."""
    width = max(map(len, reports))
    yield f"{'':<{width}}  {'return':>9}  {'drawdown':>9}  {'trades':>6}  {'fees':>12}  {'equity':>14}"
    for name, report in reports.items():
        equity, counts = report["equity"], report["counts"]
        yield (
            f"{name:<{width}}  {float(equity['return']):>+9.2%}  {float(equity['max_drawdown']):>9.2%}  "
            f"{counts['trades']:>6}  {report['totals']['fees']:>12}  {equity['end']:>14}"
        )
    returns = [float(report["equity"]["return"]) for report in reports.values()]
    gained = sum(each > 0 for each in returns)
    yield (
        f"{gained} of {len(returns)} gained; median {median(returns):+.2%}, from {min(returns):+.2%} to {max(returns):+.2%}"
    )
