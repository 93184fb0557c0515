"""Backtests over the API: what is refused at once, one at a time, broken off, and the same report as the command's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Job, User
from accounts.services.jobs import ALIVE, JobWork
from marketdata.models import Candle
from marketdata.services import feed_configure
from marketdata.tests.build import START, rows_of, walk, write_csv
from trading.services.backtest.job import MOST_POINTS, backtest_work, thinned
from vibex.lib.clock import Deadline
from vibex.lib.env import ROOT
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db
DAY = {"symbols": ["BTCUSDT"], "from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"}


@pytest.fixture
def person(client) -> User:
    feed_configure(venue="sim", kind="simulated", seed=7)
    made = User.objects.create_user("owner@example.org")
    client.force_login(made)
    return made


def ask(client, **body):
    return client.post("/api/v1/backtests/", DAY | body, content_type="application/json")


@pytest.mark.parametrize(
    "body",
    [
        {"symbols": []}, {"symbols": ["--json"]}, {"symbols": ["BTCUSDT", "BTCUSDT"]}, {"symbols": "BTCUSDT"},
        {"from": "2026-11-03T00:00:00Z"}, {"from": "0001-01-01T00:00:00+05:00"}, {"to": "9999-12-31T00:00:00Z"},
        {"decider": "openai/gpt"}, {"decider": "rules/x"}, {"venue": "nowhere"}, {"capital": "0"}, {"capital": "1e400"},
        {"max_leverage": 99}, {"max_stop": "2"}, {"interval": "7m"}, {"timeframes": []}, {"intervall": "1h"},
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_before_anything_is_begun(client, person, body):
    answer = ask(client, **body)
    assert answer.status_code == 400, answer.content
    assert not Job.objects.exists()


@pytest.mark.ci
def test_a_person_runs_one_at_a_time(client, person):
    running = {"arguments": ["--venue=sim"]}
    Job.objects.create(owner=person, kind="backtest", request=running, alive_until=timezone.now() + ALIVE)
    assert ask(client).json()["code"] == "backtest-running"
    assert Job.objects.count() == 1


def test_of_two_that_were_begun_at_once_the_later_one_is_refused(person):
    first, later = (
        Job.objects.create(owner=person, kind="backtest", request={"n": n}, alive_until=timezone.now() + ALIVE)
        for n in range(2)
    )
    stopped = JobWork(later.pk, person.pk)
    stopped.stop.set()
    with pytest.raises(Rejected) as refused:
        backtest_work(stopped, arguments=["--venue=sim", "--symbols=BTCUSDT"])
    assert refused.value.code == "backtest-running"
    first.status = Job.Status.DONE
    first.save()
    with pytest.raises(Rejected) as refused:
        backtest_work(stopped, arguments=["--venue=sim", "--symbols=BTCUSDT"])
    assert refused.value.code == "cancelled"


def test_a_long_report_is_thinned_and_keeps_its_end():
    series = [[str(number), "1"] for number in range(10 * MOST_POINTS + 7)]
    told = thinned({"series": series, "trades": [], "notes": []})
    assert MOST_POINTS * 0.9 <= len(told["series"]) <= MOST_POINTS
    assert told["series"][-1] == series[-1]
    assert thinned({"series": series[:5], "trades": [], "notes": []})["series"] == series[:5]


@pytest.mark.ci
def test_a_process_that_nobody_wants_any_more_is_ended():
    job, began = JobWork(1, 1), time.monotonic()
    job.stop.set()
    with pytest.raises(Rejected) as stopped:
        backtest_work(job, arguments=["--venue=sim", "--symbols=BTCUSDT"])
    assert (stopped.value.code, time.monotonic() - began < 10) == ("cancelled", True)


PARENT = """
import sys, time
import django
django.setup()
from trading.services.backtest.job import _process
with open(sys.argv[1], "wb") as out, _process(sys.argv[2:], out, out) as process:
    print(process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.ci
def test_a_backtest_ends_when_the_process_that_began_it_is_killed(tmp_path):
    """Five years of hours keep it at work for minutes; it has begun when it says how far it is."""
    write_csv(tmp_path / "BTCUSDT-1h.csv.gz", rows_of(walk(5 * 365 * 24)))
    window = [f"--from={START + timedelta(days=60):%F}", f"--to={START + timedelta(days=5 * 364):%F}"]
    plan = [f"--data={tmp_path}", "--symbols=BTCUSDT", *window]
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(out), *plan],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "vibex.settings.testing"},
    ) as parent:
        child = int(parent.stdout.readline())
        try:
            assert _until(lambda: b"progress: " in out.read_bytes()), out.read_bytes()
            parent.kill()
            parent.wait()
            assert _until(lambda: not _runs(child))
        finally:
            parent.kill()
            if _runs(child):
                os.kill(child, signal.SIGKILL)


def _until(true, seconds: float = 60.0) -> bool:
    patience = Deadline(seconds)
    while not true():
        if patience.passed():
            return False
        time.sleep(0.1)
    return True


def _runs(pid: int) -> bool:
    """Tell whether a process runs; one that ended and that nobody has asked for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.ci
def test_stored_candles_are_tested_as_recorded_ones_are(person, capsys):
    start, price = datetime(2026, 10, 1, tzinfo=UTC), 100_000.0
    rows = []
    for number in range(24 * 60):
        price *= 1 + (((number * 7919) % 13) - 6) / 4000
        rows.append(
            Candle(
                venue="sim",
                symbol="BTCUSDT",
                interval="1m",
                open_time=start + number * timedelta(minutes=1),
                open=price,
                high=price * 1.001,
                low=price * 0.999,
                close=price,
                volume=1,
                closed=True,
            )
        )
    Candle.objects.filter(symbol="BTCUSDT").delete()
    Candle.objects.bulk_create(rows)
    window = [f"--from={start + timedelta(hours=6):%FT%T}", f"--to={start + timedelta(hours=24):%FT%T}"]
    call_command(
        "backtest", "--venue=sim", "--symbols=BTCUSDT", *window, "--interval=5m", "--timeframes=5m", "--json",
        "--progress",
    )  # fmt: skip
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["counts"]["cycles"] == 18 * 12
    assert "216 of 216 cycles" in said.err
