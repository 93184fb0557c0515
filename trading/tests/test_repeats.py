"""Results of the same test several times over: mean, error, range, and how often the same was asked for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from trading.domain.repeats import agreement_among, agreement_of, held_share, range_of

BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
MOMENTS = 6
ACTIONS = ("hold", "buy_to_enter", "sell_to_enter", "close_position")


def at(number: int) -> datetime:
    return BEGIN + timedelta(hours=number)


RUNS = some.dictionaries(
    some.integers(0, MOMENTS - 1).map(at),
    some.dictionaries(some.sampled_from(SYMBOLS), some.sampled_from(ACTIONS)),
)


def test_a_range_tells_of_all_that_are_known():
    found = range_of([0.02, None, -0.01, 0.05])
    assert (found.count, found.low, found.high) == (3, -0.01, 0.05)
    assert found.mean == pytest.approx(0.02)
    assert found.error == pytest.approx(0.03 / 3**0.5)


def test_a_single_value_has_no_error_and_none_no_range():
    assert range_of([0.02]).error is None
    assert range_of([None, None]) is None


def test_what_is_not_named_was_held_and_entries_are_counted_where_one_wanted_in():
    one = {at(0): {"BTCUSDT": "buy_to_enter"}, at(1): {"BTCUSDT": "hold"}, at(2): {"ETHUSDT": "close_position"}}
    two = {at(0): {"BTCUSDT": "buy_to_enter", "ETHUSDT": "sell_to_enter"}, at(3): {"BTCUSDT": "buy_to_enter"}}
    found = agreement_of([(one, two)], symbols=SYMBOLS, moments=MOMENTS)
    assert (found.actions.part, found.actions.whole) == (9, 12)
    assert (found.entries.part, found.entries.whole) == (1, 3)
    held = held_share([one, two], symbols=SYMBOLS, moments=MOMENTS)
    assert (held.part, held.whole) == (19, 24)


@given(some.lists(RUNS, max_size=4))
def test_agreement_counts_every_pair_case_by_case(runs):
    found = agreement_among(runs, symbols=SYMBOLS, moments=MOMENTS)
    said = [[run.get(at(n), {}).get(symbol, "hold") for n in range(MOMENTS) for symbol in SYMBOLS] for run in runs]
    pairs = [(one, two) for place, one in enumerate(said) for two in said[place + 1 :]]
    cases = [case for one, two in pairs for case in zip(one, two, strict=True)]
    assert (found.actions.part, found.actions.whole) == (sum(one == two for one, two in cases), len(cases))
    entries = [(one, two) for one, two in cases if {one, two} & {"buy_to_enter", "sell_to_enter"}]
    assert (found.entries.part, found.entries.whole) == (sum(one == two for one, two in entries), len(entries))
