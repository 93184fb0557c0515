"""Figures of performance are those that empyrical-reloaded computes of the same returns.

The witness runs in an environment of its own, and is no dependency of the project.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracles.environments import isolated
from trading.domain import ratios
from trading.domain.drawdowns import max_fall

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

WITNESS = "empyrical-reloaded==0.7.1"
SERIES = 60
PERIODS, REQUIRED, OF_YEAR = 365, 0.0004, 0.1


def series() -> list[np.ndarray]:
    """Return series of all lengths: calm, wild, skewed, trending, with days on which nothing happened."""
    dice = np.random.default_rng(20250617)
    made = []
    for place in range(SERIES):
        count = int(dice.integers(2, 900))
        returns = dice.standard_t(3, count) * dice.choice([0.0005, 0.01, 0.04]) + dice.normal(0, 0.002)
        if place % 3 == 0:
            returns[dice.random(count) < 0.3] = 0
        if place % 4 == 0:
            returns = np.abs(returns) * dice.choice([-1, 1])
        made.append(np.clip(returns, -0.9, 2.0))
    return made


def ours(returns: np.ndarray) -> dict[str, float]:
    year = {"periods_per_year": PERIODS}
    return {
        "total_return": ratios.total_return(returns),
        "cagr": ratios.cagr(returns, **year),
        "volatility": ratios.volatility(returns, **year),
        "sharpe": ratios.sharpe_ratio(returns, risk_free=REQUIRED, **year),
        "downside_risk": ratios.downside_risk(returns, required=REQUIRED, **year),
        "sortino": ratios.sortino_ratio(returns, required=REQUIRED, **year),
        "calmar": ratios.calmar_ratio(returns, **year),
        "omega": ratios.omega_ratio(returns, required_of_year=OF_YEAR, **year),
        "tail_ratio": ratios.tail_ratio(returns),
        "stability": ratios.stability(returns),
        "max_drawdown": max_fall(ratios.wealth(returns)),
    }


def test_every_figure_is_the_one_of_the_witness():
    made = series()
    asked = {"series": [each.tolist() for each in made], "periods": PERIODS, "required": REQUIRED, "year": OF_YEAR}
    theirs = isolated("metrics.py", asked, WITNESS)
    assert len(theirs) == SERIES
    for returns, told in zip(made, theirs, strict=True):
        assert ours(returns) == pytest.approx(told, rel=1e-7, abs=1e-12, nan_ok=True), returns.size
