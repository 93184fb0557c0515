"""The doctor says what works, what does not and what to do, whatever is broken, and never hangs."""

from __future__ import annotations

import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from accounts.models import Incident
from marketdata.models import Candle, Feed, Ticker
from tests.support.demo import account_of, bot_of, person
from tests.support.demo_market import candles, market
from trading.services.periodic import system_heartbeat, system_schedules_install
from trading.tests.aster_server_kit import the_connector
from vibex import market_looks
from vibex.doctor import LOOKS, Look, examine, sound
from vibex.lib.env import ROOT
from vibex.lib.masking import register_secret
from vibex.looks import Line, transport_lines
from vibex.market_looks import clock_line
from vibex.model_looks import model_lines


@pytest.fixture
def healthy(db: None) -> Feed:
    now = timezone.now()
    feed = market(now)
    candles(now, symbols=("BTCUSDT", "ETHUSDT"))
    bot_of(
        account_of(person()), symbols=["BTCUSDT", "ETHUSDT"], interval="3m", timeframes=["3m", "5m"], status="running"
    )
    system_schedules_install()
    system_heartbeat()
    return feed


def lines() -> dict[str, Line]:
    return {line.name: line for line in examine()}


def failing() -> list[str]:
    found = [line for line in examine() if line.state == "fail"]
    assert all(line.remedy for line in found), "every failing line says what to do"
    return [line.name for line in found]


# -- a whole round ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("healthy")
def test_an_installation_that_trades_has_nothing_that_fails() -> None:
    assert failing() == []
    looked = lines()
    for name in ("settings", "database", "migrations", "redis", "scheduler", "market", "disk", "model", "log folder"):
        assert looked[name].state == "ok", name
    assert connection.vendor in looked["database"].detail.lower()
    for interval in ("quote", "3m", "5m"):
        assert interval in looked["BTCUSDT at sim"].detail


@pytest.mark.usefixtures("healthy")
def test_as_json_it_is_one_document_and_nothing_else() -> None:
    out = io.StringIO()
    call_command("doctor", "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert report["ok"] is True
    assert {line["name"] for line in report["lines"]} >= {"database", "ETHUSDT at sim"}


@pytest.mark.usefixtures("healthy")
def test_the_table_names_every_finding_with_its_remedy() -> None:
    Feed.objects.update(running=False)
    out = io.StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("doctor", stdout=out)
    assert end.value.code == 1
    assert "no market is running" in out.getvalue()
    assert "make up" in out.getvalue()


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (lambda now: Ticker.objects.filter(symbol="BTCUSDT").update(at=now - timedelta(seconds=45)), "BTCUSDT at sim"),
        (lambda now: Candle.objects.filter(symbol="ETHUSDT").delete(), "ETHUSDT at sim"),
        (lambda now: Feed.objects.update(heartbeat=now - timedelta(minutes=3)), "market"),
    ],
    ids=["a frozen price", "no candles", "a silent feed"],
)
def test_data_on_which_bots_hold_fails_by_symbol(change: Any, fails: str) -> None:
    change(timezone.now())
    assert fails in failing()


@pytest.mark.usefixtures("healthy")
def test_an_open_data_incident_is_a_warning_and_no_failure() -> None:
    Incident.objects.create(account=None, kind="impossible-candle", severity="warning", text="sim BTCUSDT 1m: high low")
    assert lines()["data incidents"].state == "warn"
    assert failing() == []


@pytest.mark.usefixtures("healthy")
def test_a_migration_that_waits_is_named_and_what_needs_its_tables_is_not_asked() -> None:
    (newest,) = MigrationLoader(connection).graph.leaf_nodes("trading")
    MigrationRecorder(connection).record_unapplied(*newest)
    looked = lines()
    assert ".".join(newest) in looked["migrations"].detail
    assert "manage.py migrate" in looked["migrations"].remedy
    assert looked["data"].detail.startswith("not looked at")
    assert failing() == ["migrations"]


@pytest.mark.ci
def test_without_any_installation_the_table_still_says_what_to_do(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    mine = {"VIBEX_DATA_DIR": str(tmp_path / "data"), "VIBEX_LOG_DIR": str(tmp_path / "logs"), "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "manage.py", "doctor", "--json"]
    done = subprocess.run(command, check=False, cwd=ROOT, env=kept | mine, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == ""
    looked = {line["name"]: line for line in json.loads(done.stdout)["lines"]}
    assert looked["database"]["detail"] == "there is no database yet"
    assert looked["static files"]["state"] == "ok"
    assert not (tmp_path / "data" / "vibex.sqlite3").exists(), "looking makes nothing"


# -- looks that hang and break ----------------------------------------------------------------------------


def ok() -> Iterator[Line]:
    yield Line("fine", "ok", "as it should be")


@pytest.mark.django_db
def test_a_look_that_hangs_is_left_behind_and_the_others_go_on() -> None:
    release = threading.Event()
    hanging = Look("stuck", lambda: [Line("stuck", "ok", str(release.wait(30)))], seconds=0.05, asks_database=False)
    found = examine([hanging, Look("fine", ok)])
    release.set()
    assert [(line.name, line.state) for line in found] == [("stuck", "fail"), ("fine", "ok")]
    assert "no answer within 0.05 s" in found[0].detail


@pytest.mark.django_db
def test_a_database_that_hangs_is_asked_no_more() -> None:
    release = threading.Event()
    hanging = Look("stuck", lambda: [Line("stuck", "ok", str(release.wait(30)))], seconds=0.05)
    found = examine([hanging, Look("data", ok), Look("disk", ok, asks_database=False)])
    release.set()
    assert [line.state for line in found] == ["fail", "info", "ok"]


@pytest.mark.django_db
def test_a_look_that_breaks_is_a_line_without_its_secrets() -> None:
    register_secret("hunter2-hunter2")

    def broken() -> Iterator[Line]:
        yield from ok()
        raise OSError("no way to redis://me:hunter2-hunter2@db\nat all")

    found = examine([Look("broken", broken, remedy="mend it")])
    assert [line.state for line in found] == ["ok", "fail"]
    assert "hunter2" not in found[1].detail
    assert "\n" not in found[1].detail
    assert found[1].remedy == "mend it"
    assert not sound(found)


def test_every_look_has_a_limit_and_a_remedy() -> None:
    assert all(0 < look.seconds <= 30 and look.remedy for look in LOOKS)
    assert len({look.name for look in LOOKS}) == len(LOOKS)


# -- clock, venue, model ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "state"), [(0.2, "ok"), (-0.9, "ok"), (1.5, "warn"), (-4.9, "warn"), (5.1, "fail"), (-3600.0, "fail")]
)
def test_a_clock_that_is_off_warns_then_fails(offset: float, state: str) -> None:
    line = clock_line("aster", offset, "measured now")
    assert line.state == state
    assert ("timedatectl" in line.remedy) == (state != "ok")
    assert ("behind" in line.detail) == (offset > 0)


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Serve that status to every request on a free port of this machine."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (401, "fail"), (403, "fail"), (404, "warn"), (500, "fail")])
def test_a_model_server_is_judged_by_its_answer(settings: Any, status: int, state: str) -> None:
    with answering(status) as address:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = address, "sk-not-to-be-shown"
        (line,) = model_lines()
    assert line.state == state
    assert "sk-not" not in line.detail + line.remedy
    assert state == "ok" or line.remedy


def test_a_model_server_that_is_not_there_fails(settings: Any) -> None:
    with answering(200) as address:
        pass
    settings.LLM_BASE_URL = address
    (line,) = model_lines()
    assert (line.state, "does not answer" in line.detail) == ("fail", True)


@pytest.mark.django_db
def test_without_a_key_rules_decide_and_that_is_fine() -> None:
    (line,) = model_lines()
    assert (line.state, line.detail) == ("ok", "none is set: rules decide")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wanted", "running", "state"),
    [("auto", False, "warn"), ("auto", True, "fail"), ("live", False, "fail"), ("simulated", True, "fail")],
)
def test_a_silent_venue_fails_only_where_its_prices_are_needed(
    settings: Any, monkeypatch: pytest.MonkeyPatch, wanted: str, running: bool, state: str
) -> None:
    from marketdata.services import venues

    settings.MARKET = wanted
    monkeypatch.setattr(
        venues, "venue_reachable", lambda venue, seconds: f"{venue} did not answer within {seconds:g} s"
    )
    if running:
        now = timezone.now()
        Feed.objects.create(
            venue="aster", kind="live", market_at=now, running=True, clock_offset=7.0, clock_checked=now
        )
    venue, clock = market_looks.venue_lines()
    assert venue.state == state
    assert venue.remedy
    assert clock.state == ("fail" if running else "info")


@pytest.fixture
def exchange(settings: Any) -> Iterator[Any]:
    from trading.exchange_server.build import simulated_markets
    from trading.exchange_server.server import serve_in_thread

    with serve_in_thread(simulated_markets(["BTCUSDT"], history_days=1)) as served:
        settings.MARKET, settings.VENUE, settings.ASTERDEX_REST_URL = "live", "aster", served.http
        yield served


@pytest.mark.django_db(transaction=True)
def test_the_clock_is_compared_with_the_venues_own(exchange: Any) -> None:
    venue, clock = market_looks.venue_lines()
    assert (venue.state, clock.state) == ("ok", "ok")
    exchange.control.clock(step=60)
    _, clock = market_looks.venue_lines()
    assert clock.state == "fail"
    assert clock.detail.startswith(("59", "60"))
    assert "behind aster" in clock.detail


@pytest.mark.django_db(transaction=True)
def test_a_venue_that_drops_every_connection_is_said_to(exchange: Any) -> None:
    exchange.control.fault("drop")
    venue, clock = market_looks.venue_lines()
    assert venue.state == "fail"
    assert clock.detail == "never compared with aster"


@pytest.mark.django_db
def test_where_no_live_price_is_wanted_no_venue_is_asked(settings: Any) -> None:
    settings.MARKET = "simulated"
    (line,) = market_looks.venue_lines()
    assert line.state == "info"


# -- what carries the requests of AsterDEX accounts -------------------------------------------------------


def test_it_is_told_what_carries_the_requests_of_aster_accounts(settings: Any) -> None:
    (own,) = transport_lines()
    settings.ASTERDEX_TRANSPORT = "connector"
    (missing,) = transport_lines()
    with the_connector():
        (there,) = transport_lines()
    assert [line.state for line in (own, missing, there)] == ["info", "fail", "info"]
    assert "Vibex itself" in own.detail
    assert "set ASTERDEX_TRANSPORT=own" in missing.remedy
    assert "carried by aster-connector-python" in there.detail
