"""Error reports and traces leave only where they are asked for, and with nothing secret in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vibex import telemetry
from vibex.lib import spans
from vibex.lib.env import ROOT
from vibex.lib.masking import MASK
from vibex.telemetry.errors import crumb, scrubbed
from vibex.tests.telemetry_kit import taking

SECRET = "house-key-of-a-model-server"
TOKEN = "ticket-that-opens-a-stream-once"
LOCAL = "what-a-person-typed-as-password"
PROCESS = Path(__file__).with_name("telemetry_process.py")
STAGES = ["snapshot", "portfolio", "prompt", "ask", "read", "rule", "execute", "record", "publish"]


def run(what: str, folder: Path, **environment: str) -> str:
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG") or name.startswith("COV")
    }
    mine = {
        "VIBEX_ENV": "dev", "VIBEX_DATA_DIR": str(folder), "VIBEX_LOG_DIR": str(folder / "logs"), "LOG_FILES": "no",
        "LOG_LEVEL": "INFO", "LLM_BASE_URL": "http://127.0.0.1:1/v1", "LLM_API_KEY": SECRET, "A_TOKEN": TOKEN, "A_LOCAL": LOCAL,
        "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, PROCESS, what], cwd=ROOT, env={**kept, **mine, **environment}, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- off ---------------------------------------------------------------------------------------------------------------


@pytest.mark.ci
def test_without_a_variable_nothing_of_it_is_even_imported(tmp_path: Path) -> None:
    assert run("nothing", tmp_path).strip() == "[]"


def test_stretches_that_nobody_draws_cost_nothing_and_hide_no_error() -> None:
    spans.step("ask")
    spans.note(status="done")
    with pytest.raises(ValueError, match="as before"), spans.span("cycle", bot=1):
        raise ValueError("as before")


@pytest.mark.parametrize(
    ("command", "watched", "name"),
    [
        ("manage.py up", True, "up"),
        ("manage.py web --socket 3", True, "web"),
        ("manage.py stream --venue aster", True, "stream"),
        ("/srv/.venv/bin/celery -A vibex worker -Q cycles", True, "worker"),
        ("celery -A vibex beat", True, "beat"),
        ("manage.py backtest --rules trend", False, "server"),
        ("manage.py", False, "server"),
    ],
)
def test_servers_are_watched_and_commands_are_not(command: str, watched: bool, name: str) -> None:
    assert telemetry.wanted(command.split()) is watched
    assert telemetry.process_name(command.split()) == name


# -- error reports -----------------------------------------------------------------------------------------------------


def test_an_event_loses_people_headers_bodies_and_secrets() -> None:
    event = {
        "message": "refused: api_key=sk-abcdefgh12345678",
        "level": "error",
        "user": {"email": "anna@example.com", "ip_address": "10.0.0.7"},
        "extra": {"sys.argv": ["manage.py"]},
        "modules": {"django": "6"},
        "request": {
            "method": "POST", "url": "https://vibex.example.com/password/reset/MQ/abc-def/?ticket=xyz", "data": {"a": 1},
            "headers": {"Cookie": "a"}, "query_string": "ticket=xyz", "env": {"REMOTE_ADDR": "10.0.0.7"}, "cookies": {},
        },
        "exception": {"values": [{"type": "ValueError", "value": "Bearer abcdef123456",
                                  "stacktrace": {"frames": [{"function": "ask", "lineno": 7}]}}]},
    }  # fmt: skip
    told = scrubbed(event)
    assert set(told) == {"message", "level", "request", "exception"}
    assert told["request"] == {"method": "POST", "url": f"https://vibex.example.com/password/reset/{MASK}/"} or (
        told["request"]["url"].startswith("https://vibex.example.com/password/reset/***")
    )
    assert "sk-abcdefgh" not in str(told)
    assert "abcdef123456" not in str(told)
    assert told["exception"]["values"][0]["stacktrace"]["frames"] == [{"function": "ask", "lineno": 7}]


def test_nobody_is_named_by_a_mail_address() -> None:
    said = "ann.smith+a@mail.example.com cannot be forgotten yet, says <bob@example.org>."
    told = scrubbed({"exception": {"values": [{"value": said}]}, "logentry": {"params": [said, 7]}})
    assert "@" not in str(told)
    assert told["exception"]["values"][0]["value"] == "*** cannot be forgotten yet, says <***>."
    assert told["logentry"]["params"][1] == 7
    assert crumb({"category": "vibex", "message": said})["message"] == told["exception"]["values"][0]["value"]
    kept = {"message": "3 BTC @ 64000.5", "release": "vibex@0.2.0"}
    assert scrubbed(kept) == kept


def test_breadcrumbs_lose_statements_addresses_and_secrets() -> None:
    assert crumb({"category": "query", "message": "SELECT 1"}) is None
    assert crumb({"type": "http", "category": "httplib", "data": {"url": "https://x"}}) is None
    told = crumb({"category": "vibex", "message": "token=abcdef", "timestamp": 7})
    assert told == {"category": "vibex", "message": f"token={MASK}", "timestamp": 7}


@pytest.mark.ci
def test_what_breaks_is_reported_and_no_secret_leaves_with_it(tmp_path: Path) -> None:
    with taking() as taken:
        run("errors", tmp_path, SENTRY_DSN=taken.dsn)
        events = taken.events()
        whole = taken.whole()
    told = {event["exception"]["values"][0]["type"] for event in events if "exception" in event}
    assert told == {"ValueError", "RuntimeError"}
    assert any("was refused" in str(event.get("logentry")) for event in events)
    broken = next(event for event in events if "ValueError" in str(event.get("exception")))
    assert broken["exception"]["values"][0]["value"].startswith("the server refused ***")
    assert broken["request"] == {"method": "POST", "url": "http://testserver/api/breaks/"}
    assert broken["environment"] == "dev"
    assert broken["release"].startswith("vibex@")
    frames = broken["exception"]["values"][0]["stacktrace"]["frames"]
    assert frames[-1]["function"] == "breaks"
    assert not any("vars" in frame or "context_line" in frame for frame in frames)
    for secret in (SECRET, TOKEN, LOCAL, "10.0.0.7"):
        assert secret.encode() not in whole, secret


# -- traces ------------------------------------------------------------------------------------------------------------


def test_an_endpoint_is_given_the_path_of_traces_once() -> None:
    from vibex.telemetry.traces import address_of, headers_of

    assert address_of("http://127.0.0.1:4318") == "http://127.0.0.1:4318/v1/traces"
    assert address_of("http://127.0.0.1:4318/v1/traces/") == "http://127.0.0.1:4318/v1/traces"
    assert headers_of("Authorization=Bearer%20abc, x-team = vibex,broken") == {
        "authorization": "Bearer abc",
        "x-team": "vibex",
    }


@pytest.mark.ci
def test_requests_cycles_steps_and_calls_are_drawn_and_no_secret_with_them(tmp_path: Path) -> None:
    with taking() as taken:
        run("traces", tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=taken.url, OTEL_EXPORTER_OTLP_HEADERS="x-team=vibex")
        found = {span["name"]: span for span in taken.spans()}
        whole, headers = taken.whole(), taken.headers
    assert all(each["x-team"] == "vibex" for each in headers)
    cycle, ask = found["cycle"], found["ask"]
    assert cycle["told"] == {"vibex.account": 7, "vibex.bot": 3, "vibex.status": "done"}
    request = next(span for name, span in found.items() if "works" in name)
    assert cycle["parent"] == request["id"]
    assert [found[step]["parent"] for step in ("snapshot", "ask", "execute")] == [cycle["id"]] * 3
    assert found["snapshot"]["ended"] <= ask["began"] <= ask["ended"] <= found["execute"]["began"]
    assert found["execute"]["ended"] <= cycle["ended"]
    call = next(span for span in found.values() if span["parent"] == ask["id"])
    assert call["told"]["http.url" if "http.url" in call["told"] else "url.full"].endswith("/models")
    assert any("task_breaks" in name for name in found)
    assert "outside" not in found
    for secret in (SECRET, TOKEN, LOCAL, "10.0.0.7"):
        assert secret.encode() not in whole, secret


@pytest.mark.ci
def test_a_share_of_nothing_draws_nothing(tmp_path: Path) -> None:
    with taking() as taken:
        run("traces", tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=taken.url, TRACES_SHARE="0")
        assert taken.spans() == []


@pytest.mark.ci
def test_a_real_cycle_is_drawn_with_its_nine_steps(tmp_path: Path) -> None:
    from vibex.tests.running import Up

    with taking() as taken:
        up = Up(tmp_path / "data", OTEL_EXPORTER_OTLP_ENDPOINT=taken.url, SENTRY_DSN=taken.dsn, NO_PROXY="127.0.0.1")
        try:
            up.start()
            up.wait_for(lambda: up.rows("SELECT id FROM decisions_cycle WHERE status = 'done'"))
            up.stop()
        finally:
            up.kill()
        drawn = taken.spans()
        assert taken.events() == []
    cycle = next(span for span in drawn if span["name"] == "cycle")
    assert cycle["told"]["vibex.status"] == "done"
    steps = sorted((span for span in drawn if span["parent"] == cycle["id"]), key=lambda span: span["began"])
    assert [span["name"] for span in steps] == STAGES
    assert any(span["id"] == cycle["parent"] and "bot_tick" in span["name"] for span in drawn)
