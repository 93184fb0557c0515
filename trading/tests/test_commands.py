"""The commands at a terminal: what they print, and what they answer to a wrong question."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from marketdata.services import feed_configure
from trading.management.commands.cycle import _lines
from trading.tests.builders import make_account, make_bot

HEADER = "ts_ms,open,high,low,close,volume"
FEBRUARY = 1_738_368_000_000
WINDOW = ("--from", "2025-02-10", "--to", "2025-02-12")


def write(folder: Path, *, days: int = 20, spoil: dict[int, str] | None = None, header: str = HEADER) -> Path:
    """Write a small recording of BTCUSDT; `spoil` replaces whole lines by their number."""
    lines = [header]
    for hour in range(days * 24):
        price = 100_000 + 500 * ((hour // 24) % 7) + 40 * (hour % 24)
        lines.append(f"{FEBRUARY + hour * 3_600_000},{price},{price + 90},{price - 80},{price + 30},12.5")
    for number, line in (spoil or {}).items():
        lines[number] = line
    with gzip.open(folder / "BTCUSDT-1h.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    return folder


def backtest(folder: Path, *options: str, window: tuple[str, ...] = WINDOW) -> str:
    out = io.StringIO()
    call_command("backtest", "--data", str(folder), "--symbols", "BTCUSDT", *window, *options, stdout=out)
    return out.getvalue()


def test_backtest_prints_equity_trades_fees_funding_and_drawdown(tmp_path):
    printed = backtest(write(tmp_path))
    for word in ("equity", "trades", "fees", "funding", "max drawdown", "48 cycles"):
        assert word in printed


def test_backtest_as_json_is_the_whole_report(tmp_path):
    report = json.loads(backtest(write(tmp_path), "--json", "--max-leverage", "3", "--max-stop", "0.05"))
    assert report["counts"]["cycles"] == 48
    assert report["plan"]["limits"]["max_leverage"] == "3"
    assert len(report["series"]) == 49


def test_a_candle_that_cannot_be_true_is_left_out_and_named(tmp_path):
    spoiled = f"{FEBRUARY + 299 * 3_600_000},100,90,80,95,1"
    assert "left out: high is below open" in backtest(write(tmp_path, spoil={300: spoiled}))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"spoil": {200: f"{FEBRUARY + 198 * 3_600_000},1,1,1,1,1"}}, "repeats the candle before it"),
        ({"header": "ts_ms,open,high,low"}, "column close, volume is missing"),
        ({"spoil": {200: "yesterday,1,1,1,1,1"}}, "line 20"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_not_used_and_the_line_is_named(tmp_path, spoil, says):
    with pytest.raises(CommandError, match=says):
        backtest(write(tmp_path, **spoil))


def test_an_empty_and_a_cut_off_file_say_what_they_are(tmp_path):
    file = write(tmp_path) / "BTCUSDT-1h.csv.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CommandError, match="ends too early"):
        backtest(tmp_path)
    file.write_bytes(b"")
    with pytest.raises(CommandError, match="is empty"):
        backtest(tmp_path)


@pytest.mark.django_db  # providers of the database are among the names that an unknown decider is told
@pytest.mark.parametrize(
    ("options", "window", "says", "code"),
    [
        ((), ("--from", "2025-02-12", "--to", "2025-02-10"), "is not before --to", 2),
        (("--max-leverage", "11"), WINDOW, "not between 1 and 10", 2),
        (("--max-stop", "2"), WINDOW, "not a share", 2),
        (("--decider", "rules/luck"), WINDOW, "rules/trend", 1),
        (("--decider", "luck"), WINDOW, "Nothing decides under the name", 1),
        (("--interval", "3m"), WINDOW, "cannot be made of 1h", 1),
        ((), ("--from", "2027-01-01", "--to", "2027-01-02"), "was recorded from", 1),
    ],
)
def test_a_wrong_question_is_answered_with_what_to_change(tmp_path, options, window, says, code):
    with pytest.raises(CommandError, match=says) as refused:
        backtest(write(tmp_path), *options, window=window)
    assert refused.value.returncode == code


@pytest.mark.parametrize(
    "wrong", [("--from", "2025-13-01"), ("--capital", "-5"), ("--capital", "NaN"), ("--timeframes", "7m")]
)
def test_a_word_that_means_nothing_is_a_usage_error(tmp_path, wrong):
    with pytest.raises(CommandError, match="argument"):
        backtest(write(tmp_path), *wrong, window=("--to", "2025-02-12", "--from", "2025-02-10"))


def test_an_unknown_symbol_is_told_what_there_is(tmp_path):
    with pytest.raises(CommandError, match="There is BTCUSDT"):
        call_command("backtest", "--data", str(write(tmp_path)), "--symbols", "NOPEUSDT", *WINDOW)


@pytest.mark.django_db(transaction=True)
def test_cycle_prints_what_was_seen_decided_ruled_and_done(tmp_path):
    feed_configure(venue="recorded", kind="recorded", source=write(tmp_path))
    bot = make_bot(
        account=make_account("replay", venue="recorded"), interval="1h", timeframes=["1h", "4h"], model="rules/trend"
    )
    out = io.StringIO()
    call_command("cycle", bot.name, stdout=out)
    assert "saw     BTCUSDT" in out.getvalue()
    assert "took" in out.getvalue()
    out = io.StringIO()
    call_command("cycle", str(bot.pk), "--json", stdout=out)
    view = json.loads(out.getvalue())
    assert view["seen"]["BTCUSDT"]["problem"] is None
    assert set(view["timings"]) >= {"snapshot", "ask", "publish"}
    view["reading"]["held"] = {"BTCUSDT": "risk_usd.contradicts"}
    assert "  held    BTCUSDT by the gate: risk_usd.contradicts" in list(_lines(view))


@pytest.mark.django_db
def test_cycle_of_an_unknown_bot_lists_the_known_ones():
    make_bot("known")
    with pytest.raises(CommandError, match="known"):
        call_command("cycle", "nobody")


@pytest.mark.django_db
def test_cycle_asks_for_an_id_where_a_name_is_not_enough():
    make_bot("twin", account=make_account("one"))
    make_bot("twin", account=make_account("two"))
    with pytest.raises(CommandError, match="use an id"):
        call_command("cycle", "twin")


@pytest.mark.django_db(transaction=True)
def test_cycle_without_a_market_says_how_to_start_one():
    make_bot("lonely")
    with pytest.raises(CommandError, match=r"manage\.py up"):
        call_command("cycle", "lonely")
