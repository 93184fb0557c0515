"""Health checks see a process that works, one that is stuck, and one that never began."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
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
        assert not step._done


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


def test_it_is_asked_without_django() -> None:
    code = "import sys, vibex.lib.alive; sys.exit(any(name.startswith('django') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_call_without_a_name_says_how() -> None:
    assert alive.main([]) == 2
