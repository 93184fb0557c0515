"""What was seen of a symbol is on record, once, however many bots saw it, and says what they saw."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from marketdata import database_market
from marketdata.models import Snapshot, Ticker
from marketdata.selectors import market_for
from marketdata.services import instruments_upsert, snapshot_store, snapshots, ticker_put
from marketdata.services.snapshots import Remembered
from marketdata.stored import SeriesStore
from marketdata.tests.build import recording, walk
from marketdata.tests.stored import COUNT, NOW, VENUE, prices, venue_of

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def seen(*timeframes, at=NOW, symbols=("BTCUSDT",)):
    return market_for(VENUE).snapshot(symbols=symbols, timeframes=timeframes or ["1h"], at=at)


def test_a_snapshot_is_stored_once_however_many_bots_saw_it():
    venue_of()
    first = snapshot_store(seen())
    assert snapshot_store(seen()) == first
    assert snapshot_store(seen(at=NOW + SECOND))["BTCUSDT"]["digest"] == first["BTCUSDT"]["digest"]
    row = Snapshot.objects.get()
    assert (row.symbol, row.at, row.digest) == ("BTCUSDT", NOW, first["BTCUSDT"]["digest"])
    assert first["BTCUSDT"]["price"] == f"{walk(COUNT).close[-1]:.1f}"
    assert snapshot_store(seen("4h")) != first
    assert Snapshot.objects.count() == 2


def test_what_a_cycle_keeps_names_the_row_and_says_why_a_symbol_held():
    venue_of(quote=prices(NOW - 45 * SECOND))
    assert snapshot_store(seen()) == {
        "BTCUSDT": {
            "price": f"{prices().last}",
            "age": 45.0,
            "problem": "the last price is 45 s old",
            "digest": Snapshot.objects.get().digest,
            "at": (NOW - 45 * SECOND).isoformat(),
        }
    }


def test_a_row_says_what_was_seen():
    venue_of(quote=prices(funding_rate=Decimal("0.00012"), mark_at=NOW - SECOND))
    snapshot_store(seen("1h", "4h"))
    values = Snapshot.objects.get().values
    assert values["quote"]["funding_rate"] == "0.00012"
    assert values["quote"]["mark_at"] == (NOW - SECOND).isoformat()
    assert values["quote"]["open_interest"] is None
    hour = seen().symbols["BTCUSDT"].timeframes["1h"]
    assert values["timeframes"]["1h"]["candle"]["close"] == hour.candles.close[-1]
    assert values["timeframes"]["1h"]["indicators"]["ema50"] == hour.indicators["ema50"][-1]
    assert values["timeframes"]["4h"]["indicators"]["ema50"] is None, "25 candles do not make an EMA50"
    json.dumps(values, allow_nan=False)


def test_without_a_price_or_a_candle_there_is_a_row_that_says_so():
    venue_of(walk(0, symbol="BTCUSDT"))
    Ticker.objects.all().delete()
    kept = snapshot_store(seen())
    assert kept["BTCUSDT"]["problem"] == "no closed 1h candle"
    assert Snapshot.objects.get().values["timeframes"]["1h"] == {"candle": None, "indicators": {}}
    assert snapshot_store(seen(at=NOW + SECOND))["BTCUSDT"]["digest"] == kept["BTCUSDT"]["digest"]


def test_all_symbols_go_in_one_statement_and_none_when_they_are_known(django_assert_max_num_queries):
    venue_of()
    instruments_upsert(specs=[recording(walk(1, symbol="ETHUSDT")).spec])
    ticker_put(venue=VENUE, quotes=[prices(symbol="ETHUSDT")])
    both = seen(symbols=("BTCUSDT", "ETHUSDT"))
    with django_assert_max_num_queries(1):
        snapshot_store(both)
    assert Snapshot.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_what_this_process_has_stored_is_not_sent_again(django_assert_num_queries):
    venue_of()
    snapshot_store(seen())
    again = seen()
    with django_assert_num_queries(0):
        snapshot_store(again)


@pytest.mark.django_db(transaction=True)
def test_a_row_that_was_rolled_back_is_written_again():
    venue_of()
    with transaction.atomic():
        snapshot_store(seen())
        transaction.set_rollback(True)
    assert not Snapshot.objects.exists()
    snapshot_store(seen())
    assert Snapshot.objects.count() == 1


def test_several_processes_that_saw_the_same_tick_leave_one_row(monkeypatch):
    venue_of()
    kept = []
    for _ in range(3):
        monkeypatch.setattr(snapshots, "STORED", snapshots.Remembered())
        monkeypatch.setattr(database_market, "STORE", SeriesStore())
        kept.append(snapshot_store(seen()))
    assert Snapshot.objects.count() == 1
    assert kept[0] == kept[1] == kept[2]


def test_the_memory_of_what_is_stored_stays_small():
    known = Remembered(3)
    known.add(("sim", "BTCUSDT", str(number)) for number in range(10))
    assert [("sim", "BTCUSDT", str(number)) in known for number in (6, 7, 9)] == [False, True, True]
    known.forget()
    assert ("sim", "BTCUSDT", "9") not in known
