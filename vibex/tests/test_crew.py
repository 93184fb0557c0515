"""Processes behind one socket: who dies is replaced, who will not start ends all, and nobody is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vibex import crew
from vibex.lib.env import ROOT
from vibex.tests.running import free_port

pytestmark = [pytest.mark.ci, pytest.mark.timeout(120)]
PATIENCE = 60.0
MEMBER = """
import http.server, os, socket, sys
from vibex.crew import end_with
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
end_with(int(words["--lifeline"]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(words["--socket"]))
server.serve_forever()
"""
CREW = """
import sys
from vibex import crew
crew.PAUSES = (0.1, 0.1)
listening = crew.open_socket("127.0.0.1", int(sys.argv[1]))
sys.exit(crew.main(["2", str(listening.detach()), sys.executable, sys.argv[2]]))
"""


@contextmanager
def running(folder: Path, member: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a crew of two of these."""
    (folder / "member.py").write_text(member, encoding="utf-8")
    port = free_port()
    words = [sys.executable, "-c", CREW, str(port), str(folder / "member.py")]
    with subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, port
        finally:
            process.kill()


def asked(port: int) -> int:
    """Return who answers; 0: nobody."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return int(answer.read())
    except OSError:
        return 0


def wait_for(happened: Callable[[], Any]) -> Any:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if found := happened():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text()


def test_who_dies_is_replaced_while_the_others_answer(tmp_path: Path) -> None:
    with running(tmp_path, MEMBER) as (process, port):
        first = wait_for(lambda: asked(port))
        os.kill(first, signal.SIGKILL)
        another = wait_for(lambda: asked(port))
        assert another != first
        assert process.stdout
        told = json.loads(process.stdout.readline())
        assert "ended with -9" in told["message"]
        assert process.poll() is None


def test_when_the_crew_is_killed_its_members_end_too(tmp_path: Path) -> None:
    with running(tmp_path, MEMBER) as (process, port):
        member = wait_for(lambda: asked(port))
        process.kill()
        wait_for(lambda: gone(member))


def test_those_who_cannot_start_end_all(tmp_path: Path) -> None:
    with running(tmp_path, "raise SystemExit(3)") as (process, _):
        assert process.wait(PATIENCE) == crew.GAVE_UP
        assert process.stdout
        assert "does not start" in process.stdout.read()


def test_all_end_in_order_when_told(tmp_path: Path) -> None:
    in_order = MEMBER.replace(
        "server.serve_forever()", "import signal\nsignal.signal(15, lambda *_: os._exit(0))\nserver.serve_forever()"
    )
    with running(tmp_path, in_order) as (process, port):
        member = wait_for(lambda: asked(port))
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert gone(member)
