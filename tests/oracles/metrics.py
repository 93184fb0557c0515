"""What empyrical-reloaded says of series of returns. Runs where only it is installed.

In: `series` (lists of returns), `periods` (of a year), `required` (return of a period), `year` (required return of a year).
Out: its figures of each series, in the same order. NaN and infinity are spelled as Python's JSON spells them.
"""

import json
import sys
import warnings

import empyrical
import pandas as pd


def figures(returns, periods, required, year):
    rows = pd.Series(returns, index=pd.date_range("2025-01-01", periods=len(returns), freq="D"))
    return {
        "total_return": empyrical.cum_returns_final(rows),
        "cagr": empyrical.annual_return(rows, annualization=periods),
        "volatility": empyrical.annual_volatility(rows, annualization=periods),
        "sharpe": empyrical.sharpe_ratio(rows, risk_free=required, annualization=periods),
        "downside_risk": empyrical.downside_risk(rows, required_return=required, annualization=periods),
        "sortino": empyrical.sortino_ratio(rows, required_return=required, annualization=periods),
        "calmar": empyrical.calmar_ratio(rows, annualization=periods),
        "omega": empyrical.omega_ratio(rows, required_return=year, annualization=periods),
        "tail_ratio": empyrical.tail_ratio(rows),
        "stability": empyrical.stability_of_timeseries(rows),
        "max_drawdown": -empyrical.max_drawdown(rows),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    told = [figures(each, asked["periods"], asked["required"], asked["year"]) for each in asked["series"]]
    json.dump([{name: float(value) for name, value in each.items()} for each in told], sys.stdout)
