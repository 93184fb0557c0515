"""Rules decide the same on masked candles: only the names, the dates and the digits of prices are others."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from marketdata.domain.masking import VENUE, mask
from marketdata.recorded_market import RecordedMarket
from trading.services.backtest import BacktestPlan, backtest_run
from trading.tests.backtest_kit import BTC, ETH, after, recording, walk

COUNT, BEGIN = 700, 300
RULES = ("rules/trend", "rules/cross")


def recordings(seed):
    paid = [(number, 0.0004 * (-1) ** number) for number in range(12, COUNT, 12)]
    return [
        recording(replace(BTC, venue="recorded"), walk(seed, COUNT, first=100_000.0), funding=paid, holes=(450,)),
        recording(replace(ETH, venue="recorded"), walk(seed + 1, COUNT, first=4_000.0), marks=True, funding=paid[::3]),
    ]


@pytest.mark.parametrize("rules", RULES)
@given(some.integers(0, 10_000), some.integers(0, 10_000))
@settings(max_examples=8)
def test_the_same_rules_do_the_same(rules, seed, hidden_by):
    there = recordings(seed)
    masked = mask(there, seed=hidden_by)
    key = masked.key
    # In the order in which the masked ones stand: where limits leave room for one of two, the first gets it.
    symbols = tuple(key.symbols[name] for name in masked.symbols)
    plan = BacktestPlan(symbols, after(BEGIN), after(COUNT - 1), "5m", ("5m", "15m"), rules)
    own = replace(plan, symbols=masked.symbols, start=key.hidden(plan.start), end=key.hidden(plan.end))
    true = backtest_run(plan=plan, market=RecordedMarket(there, timeframes=plan.timeframes))
    other = backtest_run(plan=own, market=RecordedMarket(masked.recordings, timeframes=own.timeframes, venue=VENUE))

    def acts(backtest, moment, name):
        return [
            (moment(said.at), name(ruling.proposal.symbol), ruling.proposal.action, ruling.verdict)
            for said in backtest.journal.said
            for ruling in backtest.journal.rulings[said.first : said.first + len(said.reading.proposals)]
        ]

    assert acts(true, lambda at: at, str) == acts(other, key.moment, key.symbols.get)
    assert [kept.exit_reason for kept in true.journal.closed] == [kept.exit_reason for kept in other.journal.closed]
    # Prices and quantities are the same on their grids; what differs is the eighth decimal of an amount, once a booking.
    bookings = Decimal(len(true.journal.ledger) + 1)
    for one, two in zip(true.journal.points, other.journal.points, strict=True):
        assert abs(one.equity - two.equity) <= bookings * Decimal("2e-8")
