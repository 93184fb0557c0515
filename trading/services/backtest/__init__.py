"""Backtests: the code that trades, over recorded candles.

`plan` says what is run, `run` carries it out, `jump` passes over what cannot matter, `passing` lets time reach the exchange,
`report` says what came of it, `job` is a run beside the server.
"""

from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.run import Backtest, backtest_run

__all__ = ["Backtest", "BacktestPlan", "backtest_run"]
