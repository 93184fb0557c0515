"""`manage.py backfill` against the test exchange and over recorded files: what a person reads, and the exit codes."""

import json
from datetime import timedelta
from io import StringIO

import pytest
import stamina
from django.core.management import CommandError, call_command
from django.utils import timezone

from marketdata.models import Candle, Feed, FundingRate, Instrument, QuarantinedCandle
from marketdata.tests.build import START, rows_of, walk, write_csv
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import Served, serve_in_thread

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
NOW = timezone.now()


@pytest.fixture(scope="module")
def exchange():
    with serve_in_thread(simulated_markets(SYMBOLS, history_days=2)) as served:
        yield served


@pytest.fixture
def aster(exchange, settings) -> Served:
    settings.ASTERDEX_REST_URL = exchange.http
    return exchange


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("backfill", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def days_ago(days: float) -> str:
    return f"{NOW - timedelta(days=days):%Y-%m-%dT%H:00}"


def test_a_history_is_fetched_with_progress_and_a_table(aster):
    until = days_ago(0)
    told = run("--symbols", "BTCUSDT,ETHUSDT", "--intervals", "5m,1h", "--since", days_ago(1), "--until", until)
    assert Candle.objects.filter(venue="aster", closed=True).count() == 2 * (288 + 24)
    assert "624 candles are missing" in told
    assert "candles/s" in told
    for head in ("symbol", "interval", "from", "to", "fetched", "corrected", "quarantined", "holes", "requests"):
        assert head in told
    assert told.count("BTCUSDT") >= 3
    assert "problem" not in told


def test_a_second_run_fetches_nothing(aster):
    span = ("--symbols", "BTCUSDT", "--intervals", "1h", "--since", days_ago(1), "--until", days_ago(0))
    run(*span)
    before = len(aster.server.log)
    lines = json.loads(run(*span, "--json"))
    assert [(line["fetched"], line["requests"], line["missing"]) for line in lines] == [(0, 0, 0)] * 2
    assert len(aster.server.log) == before


def test_without_symbols_those_of_the_installation_are_taken(aster, settings):
    settings.ASSETS = ("BTC", "ETH")
    lines = json.loads(run("--intervals", "1h", "--since", days_ago(1), "--json"))
    assert {line["symbol"] for line in lines} == set(SYMBOLS)


def test_an_unknown_symbol_ends_with_near_names(aster):
    with pytest.raises(CommandError, match="no contract BTCUSD") as end:
        run("--symbols", "BTCUSD", "--since", days_ago(1))
    assert "BTCUSDT" in str(end.value)
    assert end.value.returncode == 1


def test_a_venue_that_is_gone_ends_with_its_error(settings):
    settings.ASTERDEX_REST_URL = "http://127.0.0.1:9"
    with stamina.set_testing(True), pytest.raises(CommandError):
        run("--symbols", "BTCUSDT", "--since", days_ago(1))
    assert not Candle.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--since", "yesterday"),
        ("--since", "2025-09-01", "--until", "2025-08-01"),
        ("--since", "2999-01-01"),
        ("--since", "2025-09-01", "--intervals", "2m"),
        ("--since", "2025-09-01", "--symbols", "BTCUSDT,BTCUSDT"),
    ],
)
def test_bad_input_is_a_usage_error(arguments):
    with pytest.raises((CommandError, SystemExit)) as end:
        run(*arguments)
    assert getattr(end.value, "returncode", None) == 2 or "Error" in str(end.value)


def test_an_unknown_venue_names_those_there_are():
    with pytest.raises(CommandError, match="aster"):
        run("--venue", "nowhere", "--since", "2025-09-01")


def folder(tmp_path, *several):
    for candles in several:
        write_csv(tmp_path / f"{candles.symbol}-{candles.interval}.csv.gz", rows_of(candles))
    return tmp_path


def from_files(path, *more: str) -> list[dict]:
    span = ("--since", f"{START:%F}", "--until", f"{START + timedelta(days=30):%F}")
    return json.loads(run("--from-files", str(path), *span, "--json", *more))


def test_files_are_stored_but_for_the_last_candle_which_may_have_been_forming(tmp_path):
    files = folder(tmp_path, walk(50), walk(50, symbol="ETHUSDT"), walk(12, "4h"))
    (btc, _) = from_files(files, "--intervals", "1h")
    assert (btc["symbol"], btc["fetched"], btc["requests"]) == ("BTCUSDT", 49, 0)
    assert Candle.objects.filter(venue="aster", interval="1h", closed=True).count() == 98
    assert Feed.objects.get().kind == "live"
    assert Instrument.objects.count() == 2
    assert [line["fetched"] for line in from_files(files, "--intervals", "1h")] == [0, 0]


def test_candles_of_the_future_are_not_taken_from_a_file(tmp_path):
    """The newest stored candle says what is still to be fetched."""
    files = folder(tmp_path, walk(50, start=timezone.now().replace(minute=0, second=0, microsecond=0) - 25 * HOUR))
    run("--from-files", str(files), "--since", f"{START:%F}", "--until", "2100-01-01", "--intervals", "1h", "--json")
    assert Candle.objects.exists()
    assert not Candle.objects.filter(open_time__gt=timezone.now() - HOUR).exists()


def test_a_broken_row_is_put_aside_with_file_and_line(tmp_path):
    rows = rows_of(walk(50))
    rows[12] = rows[12].replace(rows[12].split(",")[2], "1.0")
    write_csv(tmp_path / "BTCUSDT-1h.csv.gz", rows)
    (line,) = from_files(tmp_path, "--intervals", "1h")
    assert line["quarantined"] == 1
    assert "BTCUSDT-1h.csv.gz, line 14" in QuarantinedCandle.objects.get().reason


def test_an_interval_that_is_not_recorded_is_told_at_the_end(tmp_path):
    with pytest.raises(CommandError, match="BTCUSDT 4h"):
        from_files(folder(tmp_path, walk(50)), "--intervals", "1h,4h")
    assert Candle.objects.count() == 49


def test_what_the_venue_said_is_not_replaced_by_a_file(aster, tmp_path):
    run("--symbols", "BTCUSDT", "--intervals", "1h", "--since", days_ago(1))
    stored = dict(Candle.objects.values_list("open_time", "close"))
    early = timezone.now() - timedelta(days=1)
    files = folder(tmp_path, walk(40, start=early.replace(minute=0, second=0, microsecond=0)))
    run("--from-files", str(files), "--intervals", "1h", "--since", days_ago(2))
    now = dict(Candle.objects.values_list("open_time", "close"))
    assert {at: now[at] for at in stored} == stored


def test_recorded_funding_comes_along(shared_data):
    path = shared_data / "candles" / "binance_um_2025_1h"
    span = ("--since", "2025-10-01", "--until", "2025-10-11")
    run("--from-files", str(path), "--symbols", "BTCUSDT", "--intervals", "1h,4h", *span)
    assert Candle.objects.filter(interval="1h").count() == 240
    assert Candle.objects.filter(interval="4h").count() == 60
    assert FundingRate.objects.filter(symbol="BTCUSDT", settled=True).count() == 30


def test_a_candle_that_is_still_forming_is_not_called_missing() -> None:
    from datetime import UTC, datetime

    from marketdata.services.backfill import FUNDING, whole_until

    moment = datetime(2026, 3, 1, 10, 47, 31, tzinfo=UTC)
    assert whole_until(moment, "1m") == datetime(2026, 3, 1, 10, 47, tzinfo=UTC)
    assert whole_until(moment, "4h") == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert whole_until(moment, FUNDING) == moment
