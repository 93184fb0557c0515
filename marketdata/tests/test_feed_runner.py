"""The thread that moves a market survives faults, stops at once and leaves the market standing still."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from marketdata import feed as feed_module
from marketdata.feed import FeedRunner
from marketdata.models import Feed, Ticker
from marketdata.services import feed_configure
from marketdata.tests.build import rows_of, walk, write_csv
from tests.support.tables import tables
from vibex.lib.errors import Rejected

ROOT = Path(__file__).parents[2]


class Steps:
    """Stands in for feed_advance: each call does the next of what it was given, the last one for ever."""

    def __init__(self, *results):
        self.results, self.calls = list(results), 0

    def __call__(self, **_options):
        self.calls += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def market():
    return feed_configure(venue="sim", kind="simulated", symbols=["BTCUSDT"])


@pytest.fixture
def quiet(monkeypatch, market):
    """Return a function that puts steps in the place of the real ones and gives a runner."""

    def prepare(*results):
        steps = Steps(*results)
        monkeypatch.setattr(feed_module, "feed_advance", steps)
        return FeedRunner("sim", period=0.01), steps

    return prepare


@pytest.mark.postgres  # a thread has a database of its own when SQLite is in memory
@pytest.mark.django_db(transaction=True)
def test_runs_the_market_and_leaves_it_standing(market):
    runner = FeedRunner("sim", period=0.05)
    runner.start()
    until(Ticker.objects.exists)
    first = Ticker.objects.get().at
    until(lambda: Ticker.objects.get().at > first)
    assert Feed.objects.get().running
    assert runner.stop()
    assert not Feed.objects.get().running


@pytest.mark.django_db
def test_a_lost_database_is_tried_again_and_nothing_is_said_of_the_market(quiet):
    runner, steps = quiet(OperationalError("gone"), OperationalError("gone"), None)
    steps_done = []
    runner._stopping.wait = lambda seconds: steps_done.append(seconds) or (len(steps_done) > 4 and runner.end())
    runner.run()
    assert steps.calls >= 3
    assert steps_done[:2] == [0.01, 0.02]
    assert Feed.objects.get().problem == ""


@pytest.mark.django_db
def test_the_pause_after_faults_has_an_end(quiet):
    runner, _ = quiet(OperationalError("gone"))
    pauses = []
    runner._stopping.wait = lambda seconds: pauses.append(seconds) or (len(pauses) > 20 and runner.end())
    runner.run()
    assert max(pauses) == feed_module.LONGEST_PAUSE_SECONDS


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Rejected("the folder is gone"), "the folder is gone"),
        (ZeroDivisionError(), "an error of the feed, see the log"),
    ],
)
def test_a_fault_is_told_so_that_bots_hold(quiet, fault, told):
    runner, _ = quiet(fault)
    runner._stopping.wait = lambda _seconds: runner.end()
    runner.run()
    assert Feed.objects.get().problem == told


@pytest.mark.django_db
def test_the_market_runs_from_start_to_end(quiet):
    runner, _ = quiet(None)
    seen = []
    runner._stopping.wait = lambda _seconds: seen.append(Feed.objects.get().running) or runner.end()
    runner.run()
    assert seen == [True]
    assert not Feed.objects.get().running


def test_stopping_what_never_ran_is_no_fault():
    assert FeedRunner("sim").stop()


@pytest.mark.django_db
def test_an_unknown_market_is_a_usage_fault():
    with pytest.raises(CommandError, match="there is no market 'moon' here"):
        call_command("feed", "--venue", "moon")


# -- a process of its own --------------------------------------------------------------------------------------------


@pytest.fixture
def replayed(tmp_path):
    """Return a folder of one symbol and the environment of a process with a database file of its own."""
    write_csv(tmp_path / "candles/BTCUSDT-1m.csv.gz", rows_of(walk(40_000, "1m")))
    environment = {
        **os.environ,
        "VIBEX_ENV": "dev",
        "VIBEX_DATA_DIR": str(tmp_path / "data"),
        "VIBEX_LOG_DIR": str(tmp_path / "logs"),
        "DJANGO_SETTINGS_MODULE": "vibex.settings",
        "DATABASE_URL": "",
    }
    environment = {name: value for name, value in environment.items() if value}
    return tmp_path, environment


def manage(environment, *arguments, code=None):
    command = [sys.executable, "-c", code] if code else [sys.executable, "manage.py", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def output(process):
    text = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 0, text
    return text


SETUP = "import django; django.setup(); from marketdata.services import *; from marketdata.models import *; "


@pytest.mark.ci
def test_killed_at_any_point_it_goes_on_without_a_hole(replayed):
    folder, environment = replayed
    tables(folder / "data")
    output(
        manage(
            environment,
            code=SETUP
            + f"feed_configure(venue='recorded', kind='recorded', source={str(folder / 'candles')!r}, speed=60_000.0)",
        )
    )
    for seconds in (0.0, 0.03, 0.1, 0.3, 1.5):
        process = manage(environment, "feed", "--venue", "recorded")
        assert b"is running" in process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
    check = (
        SETUP + "feed_advance(venue='recorded'); rows = Candle.objects.filter(closed=True).order_by('open_time'); "
        "times = list(rows.values_list('open_time', flat=True)); "
        "print(len(times), len(set(times)), int((times[-1] - times[0]).total_seconds()) // 60 + 1)"
    )
    stored, distinct, expected = output(manage(environment, code=check)).split()[-3:]
    assert stored == distinct == expected
    assert int(stored) >= 14_400


@pytest.mark.ci
def test_the_command_stops_in_order_within_two_seconds(replayed):
    folder, environment = replayed
    tables(folder / "data")
    configure = f"feed_configure(venue='recorded', kind='recorded', source={str(folder / 'candles')!r})"
    output(manage(environment, code=SETUP + configure))
    process = manage(environment, "feed", "--venue", "recorded")
    assert b"is running" in process.stdout.readline()
    time.sleep(2)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert "Stopped." in output(process)
    assert time.monotonic() - began < 5
    told = output(
        manage(environment, code=SETUP + "feed = Feed.objects.get(); print(feed.running, Candle.objects.count())")
    )
    running, count = told.split()[-2:]
    assert running == "False"
    assert int(count) >= 14_400
