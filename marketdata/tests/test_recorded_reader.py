"""A recorded folder is read whole, or refused with file, line, what is wrong and what to do."""

import gzip

import numpy as np
import pytest

from marketdata.domain.candles import floor_to
from marketdata.tests.build import COLUMNS, START, rows_of, same, walk, write_csv
from marketdata.venues.recorded import list_folder, read_folder
from vibex.lib.clock import to_ms
from vibex.lib.errors import Rejected

HOUR = 3_600_000
FIRST = to_ms(START)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "candles" / "made"
    write_csv(path / "BTCUSDT-1h.csv.gz", rows_of(walk(40)))
    return path


def test_reads_what_was_written_to_the_last_bit(folder):
    read = read_folder(folder)
    assert read.interval == "1h"
    assert read.quarantined == ()
    assert same(read.recordings["BTCUSDT"].candles, walk(40))


def test_the_shortest_interval_that_every_symbol_has_is_the_base(folder):
    write_csv(folder / "BTCUSDT-15m.csv.gz", rows_of(walk(10, "15m")))
    assert read_folder(folder).interval == "15m"
    write_csv(folder / "ETHUSDT-1h.csv.gz", rows_of(walk(10)))
    assert read_folder(folder).interval == "1h"
    assert read_folder(folder, ["BTCUSDT"]).interval == "15m"
    assert read_folder(folder, ["BTCUSDT"], interval="1h").interval == "1h"
    assert list_folder(folder) == {"BTCUSDT": ("15m", "1h"), "ETHUSDT": ("1h",)}


def test_mark_and_funding_are_found_beside_the_candles(folder, tmp_path):
    candles = walk(40)
    write_csv(tmp_path / "mark/made/BTCUSDT-1h.csv.gz", rows_of(candles.slice(0, 30)))
    write_csv(tmp_path / "funding/made/BTCUSDT-funding.csv.gz", [f"{FIRST + 8 * HOUR},0.0001"], "ts_ms,funding_rate")
    recording = read_folder(folder).recordings["BTCUSDT"]
    assert recording.mark is not None
    assert np.array_equal(recording.mark.close[:30], candles.close[:30])
    assert np.isnan(recording.mark.close[30:]).all()
    assert recording.funding.mark.tolist() == [candles.open[8]]


def test_an_impossible_mark_price_is_taken_for_unknown(folder, tmp_path):
    rows = rows_of(walk(40))
    rows[5] = f"{FIRST + 5 * HOUR},3,2,1,2"
    write_csv(
        tmp_path / "mark/made/BTCUSDT-1h.csv.gz",
        [",".join(row.split(",")[:5]) for row in rows],
        "ts_ms,open,high,low,close",
    )
    mark = read_folder(folder).recordings["BTCUSDT"].mark
    assert np.flatnonzero(np.isnan(mark.close)).tolist() == [5]


def test_milliseconds_of_jitter_in_funding_are_tolerated(folder, tmp_path):
    stamps = [FIRST + 8 * HOUR, FIRST + 16 * HOUR + 19, FIRST + 24 * HOUR + 1]
    write_csv(tmp_path / "funding/made/BTCUSDT-funding.csv.gz", [f"{at},0.0001" for at in stamps], "ts_ms,funding_rate")
    recording = read_folder(folder).recordings["BTCUSDT"]
    assert [floor_to(at, "1h") for at in recording.funding.at.tolist()] == recording.funding.at.tolist()
    assert recording.spec.funding_interval_hours == 8


def test_a_candle_that_cannot_be_true_is_left_out_and_reported_with_its_line(folder):
    rows = rows_of(walk(40))
    rows[10] = f"{FIRST + 10 * HOUR},50000,49000,48000,48500,1"
    write_csv(folder / "BTCUSDT-1h.csv.gz", rows)
    read = read_folder(folder)
    assert len(read.recordings["BTCUSDT"].candles) == 39
    (bad,) = read.quarantined
    assert (bad.open_time, bad.values["high"]) == (FIRST + 10 * HOUR, 49_000)
    assert bad.reason == "high is below open (BTCUSDT-1h.csv.gz, line 12)"


def test_a_value_that_is_not_a_number_is_quarantined_as_nothing(folder):
    rows = rows_of(walk(40))
    rows[3] = f"{FIRST + 3 * HOUR},50000,50001,nan,50000,1"
    write_csv(folder / "BTCUSDT-1h.csv.gz", rows)
    (bad,) = read_folder(folder).quarantined
    assert bad.values["low"] is None


def _replaced(rows, index, row):
    return [*rows[:index], row, *rows[index + 1 :]]


def _without_column(name):
    place = ("ts_ms", *COLUMNS).index(name)
    header = ",".join(column for column in ("ts_ms", *COLUMNS) if column != name)
    return [",".join(cell for i, cell in enumerate(row.split(",")) if i != place) for row in rows_of(walk(40))], header


REFUSED_ROWS = {
    "a cell that is no number": (3, "1741057200000,a,b,c,d,e", "line 5: '1741057200000,a,b,c,d,e' is not a row of num"),
    "a row cut short": (3, "1741057200000,5", "line 5: '1741057200000,5' is not a row of numbers. Correct or remove"),
    "an empty cell": (3, "1741057200000,,1,1,1,1", "line 5: .* is not a row of numbers"),
    "a duplicate candle": (3, f"{FIRST + 2 * HOUR},5,5,5,5,1", "line 5: the row repeats the candle before it. Sort"),
    "an older candle": (3, f"{FIRST},5,5,5,5,1", "line 5: the row is older than the candle before it. Sort"),
    "seconds for milliseconds": (0, f"{FIRST // 1000},5,5,5,5,1", "line 2: ts_ms 1740960000 is not a time in milli"),
    "a time that is no number": (3, "nan,5,5,5,5,1", "line 5: ts_ms nan is not a time"),
}


@pytest.mark.parametrize(("index", "row", "message"), REFUSED_ROWS.values(), ids=REFUSED_ROWS)
def test_a_row_that_cannot_be_read_is_refused_with_its_line(folder, index, row, message):
    write_csv(folder / "BTCUSDT-1h.csv.gz", _replaced(rows_of(walk(40)), index, row))
    with pytest.raises(Rejected, match=rf"BTCUSDT-1h\.csv\.gz, {message}"):
        read_folder(folder)


@pytest.mark.parametrize("column", ["ts_ms", "low", "volume"])
def test_a_missing_column_is_refused_by_name(folder, column):
    write_csv(folder / "BTCUSDT-1h.csv.gz", *_without_column(column))
    with pytest.raises(Rejected, match=f"line 1: column {column} is missing. The header must name ts_ms, open"):
        read_folder(folder)


WHOLE = gzip.compress("\n".join(["ts_ms,open,high,low,close,volume", *rows_of(walk(40))]).encode())
REFUSED_FILES = {
    "empty": (b"", "is empty"),
    "empty inside": (gzip.compress(b""), "is empty"),
    "header only": (gzip.compress(b"ts_ms,open,high,low,close,volume\n"), "has a header and no rows"),
    "truncated": (WHOLE[: len(WHOLE) // 2], "the file ends too early. It was not copied completely: fetch it again"),
    "not gzip": (b"ts_ms,open\n1,2\n", "is not a sound gzip file of text"),
    "corrupt": (WHOLE[:200] + b"\x00" * 40 + WHOLE[240:], "is not a sound gzip file|ends too early|is not a row"),
    "binary inside": (gzip.compress(b"\xff\xfe\x00\x80"), "is not a sound gzip file of text"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED_FILES.values(), ids=REFUSED_FILES)
def test_a_damaged_file_is_refused_by_name(folder, content, message):
    (folder / "BTCUSDT-1h.csv.gz").write_bytes(content)
    with pytest.raises(Rejected, match=rf"BTCUSDT-1h\.csv\.gz.*({message})"):
        read_folder(folder)


def test_one_bad_symbol_leaves_nothing_read(folder):
    (folder / "ETHUSDT-1h.csv.gz").write_bytes(b"")
    with pytest.raises(Rejected, match="ETHUSDT"):
        read_folder(folder)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(Rejected, match=r"there is no such folder\. Name a folder"):
        read_folder(tmp_path / "nowhere")


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(Rejected, match="no recorded candles here"):
        read_folder(tmp_path)


def test_an_unknown_symbol_is_refused_with_the_known_ones(folder):
    with pytest.raises(Rejected, match=r"PEPEUSDT is not recorded here\. There is BTCUSDT"):
        read_folder(folder, ["BTCUSDT", "PEPEUSDT"])


def test_an_interval_that_was_not_recorded_is_refused_with_the_recorded_ones(folder):
    with pytest.raises(Rejected, match=r"5m is not recorded for every symbol \(BTCUSDT: 1h\)"):
        read_folder(folder, interval="5m")


def test_a_file_without_one_possible_candle_is_refused(folder):
    write_csv(folder / "BTCUSDT-1h.csv.gz", [f"{FIRST},5,4,3,2,1"])
    with pytest.raises(Rejected, match="not one candle in it can be true"):
        read_folder(folder)


def test_every_shared_set_is_read(shared_data):
    for path in sorted((shared_data / "candles").iterdir()):
        if path.name.startswith("apache"):
            with pytest.raises(Rejected, match="column volume is missing"):
                read_folder(path)
            continue
        for symbol in list_folder(path):
            read = read_folder(path, [symbol])
            assert read.quarantined == (), symbol
