"""A history out of recorded files, with everything that is wrong in them, into the tables of a live venue."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from marketdata.domain.quality import gaps
from marketdata.models import Candle, FundingRate, QuarantinedCandle
from marketdata.services.backfill_files import backfill_files
from tests.quirks.kit import ASTER, BINANCE, series, utc
from vibex.lib.clock import from_ms

pytestmark = pytest.mark.django_db
SINCE, UNTIL = utc("2025-09-14 00:00"), utc("2025-10-15 05:00")


def filled(folder: Path, symbol: str, *intervals: str, since=SINCE, until=UNTIL) -> list:
    source = "https://venue.example.com"
    return backfill_files(
        folder=folder, venue="aster", source=source, symbols=[symbol], intervals=intervals, since=since, until=until
    )


def test_the_forming_last_candle_of_a_file_is_not_stored_as_closed(shared_data):
    (hours,) = filled(shared_data / ASTER, "BTCUSDT", "1h")
    assert hours.stored == 742
    assert Candle.objects.filter(closed=True).latest("open_time").open_time == utc("2025-10-15 03:00")


def test_asterdexs_broken_bar_is_put_aside_with_its_file_and_line_and_once(shared_data):
    (bars,) = filled(shared_data / ASTER, "BTCUSDT", "4h")
    assert (bars.stored, bars.quarantined) == (184, 1)
    bad = QuarantinedCandle.objects.get()
    assert (bad.open_time, bad.reason) == (utc("2025-09-16 16:00"), "low is above open (BTCUSDT-4h.csv.gz, line 16)")
    (again,) = filled(shared_data / ASTER, "BTCUSDT", "4h")
    assert (again.stored, QuarantinedCandle.objects.count()) == (0, 1)


@pytest.mark.parametrize("name", ["XRPETH_gappy-5m", "UNITTEST_gappy-1m"])
def test_holes_of_a_recording_are_counted_as_missing_and_not_filled(shared_data, name):
    candles = series(shared_data / "candles/messy", name)
    first, last = (from_ms(int(candles.open_time[place])) for place in (0, -1))
    symbol, _, interval = name.rpartition("-")
    (line,) = filled(shared_data / "candles/messy", symbol, interval, since=first, until=last)
    assert line.stored == len(candles) - 1
    assert line.missing == sum(gap.missing for gap in gaps(candles))


def test_settled_rates_are_stored_on_the_full_hour(shared_data):
    filled(shared_data / BINANCE, "SOLUSDT", "4h", since=utc("2025-10-01 00:00"), until=utc("2025-10-11 00:00"))
    times = list(FundingRate.objects.order_by("at").values_list("at", flat=True))
    assert times == [utc("2025-10-01 00:00") + timedelta(hours=8 * step) for step in range(30)]
    rates = [float(rate) for rate in FundingRate.objects.order_by("at").values_list("rate", flat=True)]
    assert np.isfinite(rates).all()
    assert min(rates) < 0 < max(rates)
