"""Health checks see a process that works, one that is stuck, and one that never began."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from vibex.lib import alive
from vibex.lib.env import ROOT
from vibex.workers import SignOfLife


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("vibex.lib.alive.tempfile.gettempdir", lambda: str(tmp_path))
    alive.got_on()  # what other tests in this process did is no sign of life here


def test_who_left_a_sign_is_alive() -> None:
    assert alive.wrong_with("cycles") == "cycles has not begun to work"
    alive.alive("cycles")
    assert alive.wrong_with("cycles") == ""


def test_who_left_none_for_long_is_stuck() -> None:
    alive.alive("cycles")
    past = time.time() - alive.LONGEST - 1
    os.utime(alive.folder() / "cycles", (past, past))
    assert "gave its last sign of life 91 s ago" in alive.wrong_with("cycles")


def test_a_folder_that_cannot_be_used_ends_nothing(tmp_path: Path) -> None:
    alive.folder().write_text("in the way", encoding="ascii")
    alive.alive("cycles")
    assert alive.wrong_with("cycles")


def test_a_worker_whose_threads_all_hang_leaves_no_sign() -> None:
    step, held = SignOfLife(None), Event()
    with ThreadPoolExecutor(1) as executor:
        pool = SimpleNamespace(executor=executor)
        executor.submit(held.wait)
        assert not step._free(pool, "cycles")
        assert not step._free(pool, "cycles")
        assert alive.silent_for("cycles") is None
        held.set()
    assert alive.silent_for("cycles") is not None


def test_a_worker_with_more_to_do_than_it_can_is_alive_while_tasks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from celery.signals import task_postrun

    nothing = SimpleNamespace(start=lambda: None, stop=lambda: None)
    monkeypatch.setattr("vibex.workers.Pulse", lambda *_: nothing)  # here it is this test that looks
    step, held = SignOfLife(None), Event()
    with ThreadPoolExecutor(1) as executor:
        pool = SimpleNamespace(executor=executor)
        executor.submit(held.wait)
        step.start(SimpleNamespace(hostname="cycles@here", pool=pool))
        try:
            assert not step._free(pool, "cycles")
            task_postrun.send(sender=None)
            assert step._free(pool, "cycles")
            assert not step._free(pool, "cycles"), "one that ended is one sign"
        finally:
            step.stop(None)
            held.set()
        task_postrun.send(sender=None)
        assert not alive.got_on(), "it listens no more"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.headers['Host']} {self.path}")
            self.send_response(200 if len(asked) == 1 else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        monkeypatch.setenv("API_PORT", str(running.server_port))
        monkeypatch.setenv("ALLOWED_HOSTS", "vibex.example.com,localhost")
        Thread(target=running.serve_forever, daemon=True).start()
        yield asked
        running.shutdown()


def test_the_server_is_asked_under_a_name_that_it_allows(server: list[str]) -> None:
    assert alive.wrong_with("web") == ""
    assert server == ["vibex.example.com /api/v1/health/live/"]
    assert "503" in alive.wrong_with("web")


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "1")
    assert "127.0.0.1:1" in alive.wrong_with("web")


WORKER = """
import sys, threading, time
from types import SimpleNamespace
from concurrent.futures import ThreadPoolExecutor
from vibex.lib import alive
from vibex.workers import SignOfLife

alive.EVERY = 0.1

def works_on_for_long():
    for _ in range(int(sys.argv[1])):
        time.sleep(0.2)
        alive.gets_on()
    if sys.argv[2] == "hangs":
        threading.Event().wait()

alive.end_when_stuck("cycles", 1.5)
step, executor = SignOfLife(None), ThreadPoolExecutor(1)
step.start(SimpleNamespace(hostname="cycles@here", pool=SimpleNamespace(executor=executor)))
work = executor.submit(works_on_for_long)
if sys.argv[2] == "told":
    step.stop(None)
work.result()
"""


def ended(code: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=60)


def test_a_worker_that_hangs_ends_itself_and_says_where_its_threads_stand(tmp_path: Path) -> None:
    found = ended(WORKER, tmp_path, "0", "hangs")
    assert found.returncode == 1
    assert "Timeout (0:00:01.500000)!" in found.stderr
    assert "works_on_for_long" in found.stderr


def test_a_worker_whose_work_gets_on_is_not_ended_though_no_thread_is_free_and_no_task_ends(tmp_path: Path) -> None:
    found = ended(WORKER, tmp_path, "15", "ends")
    assert (found.returncode, found.stderr) == (0, "")


def test_a_worker_that_was_told_to_end_has_the_time_that_it_was_given(tmp_path: Path) -> None:
    assert ended(WORKER.replace("sleep(0.2)", "sleep(2.5)"), tmp_path, "1", "told").returncode == 0


SERVER = """
import sys, time
from daphne import server  # it chooses the loop
from twisted.internet import reactor
from vibex.lib import alive
from vibex.serve import LoopSeen

alive.end_when_stuck("web", 1.5)
seen = LoopSeen(every=0.1)
reactor.callWhenRunning(seen.start)
reactor.callLater(3, (lambda: time.sleep(20)) if sys.argv[1] == "hangs" else reactor.stop)
reactor.run()
seen.stop()
"""


def test_a_server_is_ended_when_its_loop_stands_and_not_before(tmp_path: Path) -> None:
    assert ended(SERVER, tmp_path, "goes round").returncode == 0
    assert ended(SERVER, tmp_path, "hangs").returncode == 1


def test_each_has_its_time_and_one_that_may_take_long_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("vibex.lib.alive.faulthandler.dump_traceback_later", lambda seconds, **_: waits.append(seconds))
    alive.alive("cycles")
    assert waits == [], "nobody starts anew what runs in threads of another"
    try:
        for name in ("user-streams", "web", "slow-2"):
            alive.end_when_stuck(name)
            alive.alive(name)
    finally:
        alive.never_end()
    assert waits == [300.0, 300.0, 600.0, 600.0, 1800.0, 1800.0]
    alive.alive("cycles")
    assert len(waits) == 6


def test_what_is_over_ends_nobody_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("vibex.lib.alive.faulthandler.dump_traceback_later", lambda seconds, **_: waits.append(seconds))
    with alive.ended_when_stuck("stream"):
        alive.alive("stream")
    alive.alive("stream")
    assert waits == [300.0, 300.0]


def test_a_worker_and_a_beat_of_their_own_are_ended_and_those_in_threads_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vibex.celery import end_what_hangs

    named: list[str] = []
    monkeypatch.setattr("vibex.celery.end_when_stuck", named.append)
    end_what_hangs(sender="slow-2@there")
    end_what_hangs(sender=object())
    thread = Thread(target=end_what_hangs)
    thread.start()
    thread.join()
    assert named == ["slow-2", "beat"]


def test_a_loop_that_goes_round_moves() -> None:
    count = iter([0, 1, 1, 2])
    moved = alive.moving(lambda: next(count))
    assert [moved() for _ in range(4)] == [True, True, False, True]


def test_work_on_orders_says_that_it_gets_on(db: None) -> None:
    from decisions.models import Cycle
    from trading.services.claims import claim_take, claims_clear
    from trading.services.lease import cycle_renew

    alive.got_on()
    cycle_renew(cycle=Cycle(pk=0))
    assert alive.got_on()
    claim_take(account_id=0, symbol="BTCUSDT", holder="x")
    assert alive.got_on()
    claims_clear()  # the account is not there


def test_a_beat_that_waits_for_its_broker_leaves_signs_of_life() -> None:
    from vibex.beat import Scheduler
    from vibex.celery import app

    def refused(told: Callable[[Exception, float], None], _: object) -> str:
        told(OSError("refused"), 2.0)
        return "connected"

    scheduler = Scheduler(app, lazy=True)
    scheduler.__dict__["connection"] = SimpleNamespace(ensure_connection=refused)
    assert scheduler._ensure_connected() == "connected"
    assert alive.wrong_with("beat") == ""


def test_it_is_asked_without_django() -> None:
    code = "import sys, vibex.lib.alive; sys.exit(any(name.startswith('django') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_call_without_a_name_says_how() -> None:
    assert alive.main([]) == 2
