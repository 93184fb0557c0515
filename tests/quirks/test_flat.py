"""Hours without a trade, and contracts that nobody trades any more: values that mean nothing are never shown as numbers."""

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from decisions.domain.prompt import build_prompt
from decisions.domain.trend import Frames, read
from decisions.services import SEEDS
from decisions.tests.builders import question
from marketdata.domain.candles import Candles
from marketdata.domain.indicators import compute
from marketdata.domain.quality import faults, gaps
from marketdata.domain.snapshot import MarketSnapshot, SymbolView
from marketdata.tests.build import COLUMNS
from tests.quirks.kit import ASTER, live, look, series, store, utc
from vibex.lib.clock import from_ms, to_ms

ARENA = (SEEDS / "arena.txt").read_text(encoding="utf-8")
QUIET_HOURS = {"1000PEPEUSDT": 13, "DOTUSDT": 40, "AAPLUSDT": 337}
MEANINGLESS = re.compile(r"\b(nan|NaN|inf|Infinity|None)\b|\d[eE]-\d|-0\.0+\b")
COLLECTED = utc("2025-10-15 04:00")


@pytest.fixture
def apple(shared_data: Path) -> Candles:
    return series(shared_data / ASTER, "AAPLUSDT-1h").closed_before(to_ms(COLLECTED))


def dead(apple: Candles) -> Candles:
    """Return hours that all look like one of Apple's hours without a trade, as dead contracts (1INCH, COMP) send them."""
    (still, *_) = np.flatnonzero(apple.volume == 0)
    count = len(apple)
    columns = [np.full(count, getattr(apple, name)[still]) for name in COLUMNS]
    return Candles(apple.symbol, apple.interval, apple.open_time, *columns)


def dying(apple: Candles, hours: int) -> Candles:
    """Return Apple's hours, the last of which went on without a trade at the last close."""
    kept = len(apple) - hours
    columns = {name: getattr(apple, name).copy() for name in COLUMNS}
    for name in COLUMNS[:4]:
        columns[name][kept:] = apple.close[kept - 1]
    columns["volume"][kept:] = 0.0
    return replace(apple, **columns)


def prompt_about(view: SymbolView) -> str:
    asked = question(view)
    bot = replace(asked.bot, symbols=(view.symbol,))
    prompt = build_prompt(
        replace(asked, bot=bot, snapshot=MarketSnapshot("recorded", COLLECTED, {view.symbol: view})), ARENA
    )
    return prompt.system + prompt.user


@pytest.mark.parametrize("symbol", QUIET_HOURS)
def test_flat_hours_without_volume_are_possible_candles(shared_data, symbol):
    hours = series(shared_data / ASTER, f"{symbol}-1h")
    quiet = hours.volume == 0
    assert quiet.sum() == QUIET_HOURS[symbol]
    assert (hours.high[quiet] == hours.low[quiet]).all()
    assert faults(hours) == []
    assert gaps(hours) == []


def test_of_hours_without_a_trade_there_is_no_average_and_no_ratio_however_busy_it_was_before(apple):
    """Twenty such hours in a row are in the recording; a running sum leaves a rest of 1e-16 there."""
    values = compute(apple)
    quiet = [from_ms(int(apple.open_time[index])) for index in np.flatnonzero(values["volume_average"] == 0)]
    assert quiet == [utc("2025-09-17 14:00")]
    (index,) = np.flatnonzero(values["volume_average"] == 0)
    assert not apple.volume[index - 19 : index + 1].any()
    assert np.isnan(values["volume_ratio"][index])
    assert np.isfinite(np.delete(values["volume_ratio"], index)[19:]).all()


def test_a_dead_contract_has_no_range_no_band_and_no_strength(apple):
    values = compute(dead(apple))
    assert values["atr14"][-1] == 0
    assert values["bb_upper"][-1] == values["bb_lower"][-1]
    for unknown in ("rsi7", "rsi14", "volume_ratio"):
        assert np.isnan(values[unknown]).all()


@pytest.mark.django_db
def test_a_prompt_about_a_dead_contract_has_no_nan_in_it(apple):
    store(dead(apple), COLLECTED)
    text = prompt_about(look("AAPLUSDT", COLLECTED, "1h", "4h"))
    assert "RSI14: [n/a, n/a" in text
    assert not MEANINGLESS.search(text)


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [20, 25, 300])
def test_a_prompt_about_a_dying_contract_has_no_nan_and_no_rest_of_a_sum_in_it(apple, hours):
    store(dying(apple, hours), COLLECTED)
    text = prompt_about(look("AAPLUSDT", COLLECTED, "1h", "4h"))
    assert not MEANINGLESS.search(text)
    assert not re.search(r"0\.0{9,}\d", text)


@pytest.mark.django_db
def test_the_rules_enter_nothing_on_a_dead_contract(apple):
    store(dead(apple), COLLECTED)
    assert read(look("AAPLUSDT", COLLECTED, "1h", "4h"), Frames("1h", "4h")) is None


@pytest.mark.django_db
def test_a_book_that_has_not_moved_for_an_hour_holds(shared_data, apple):
    """Apple's recorded book last moved 73 minutes before the others were read; a new order in it changes that."""
    at = from_ms(live(shared_data, "orderbook_BTCUSDT")["E"])
    moved = from_ms(live(shared_data, "orderbook_AAPLUSDT")["E"])
    store(apple, at, mark_at=at, changed_at=moved)
    assert look("AAPLUSDT", at, "1h").problem == "neither bid nor ask has moved for 73 min"
    store(apple, at, mark_at=at, changed_at=at)
    assert look("AAPLUSDT", at, "1h").problem is None


@pytest.mark.django_db
def test_a_wide_book_holds_however_fresh_it_is(shared_data, apple):
    book, at = live(shared_data, "orderbook_AAPLUSDT"), from_ms(live(shared_data, "orderbook_BTCUSDT")["E"])
    bid, ask = (Decimal(book[side][0][0]) for side in ("bids", "asks"))
    store(apple, at, bid=bid, ask=ask, mark_at=at, changed_at=at)
    problem = look("AAPLUSDT", at, "1h").problem
    assert problem == "bid 242 or ask 255 is more than 1 % away from mark 244.82"


@pytest.mark.django_db
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOTUSDT"])
def test_the_books_of_traded_contracts_do_not_hold(shared_data, symbol):
    book, at = live(shared_data, f"orderbook_{symbol}"), from_ms(live(shared_data, "orderbook_BTCUSDT")["E"])
    bid, ask = (Decimal(book[side][0][0]) for side in ("bids", "asks"))
    hours = series(shared_data / ASTER, f"{symbol}-1h").closed_before(to_ms(COLLECTED))
    store(hours, at, last=bid, bid=bid, ask=ask, mark=bid, mark_at=at, changed_at=at)
    assert look(symbol, at, "1h", "4h").problem is None
