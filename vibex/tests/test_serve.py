"""Parts of the one process: who may run, where it listens, and that a broken part is started anew."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vibex.lib.env import ROOT
from vibex.lib.errors import Rejected
from vibex.serve import WORKER_THREADS, Supervised, only_process, port_check

WAIT = 10.0


def test_one_process_holds_a_data_folder(tmp_path: Path) -> None:
    with (
        only_process(tmp_path / "data"),
        pytest.raises(Rejected, match=rf"already running .* \(process {os.getpid()}\)"),
        only_process(tmp_path / "data"),
    ):
        pytest.fail("a second holder came in")


def test_the_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with only_process(tmp_path):
            assert (tmp_path / "up.lock").read_text() == str(os.getpid())


def test_a_free_port_stays_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    port_check("127.0.0.1", port)
    port_check("127.0.0.1", port)


def test_a_port_in_use_names_the_next_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Rejected, match=f"Port {port} on 127.0.0.1 is in use .* --port {port + 1}"):
            port_check("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no host at all"])
def test_a_host_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(Rejected, match=f"{host} is no address of this machine"):
        port_check(host, 3000)


class Service:
    """Counts its starts; breaks as often as it is told to, then works until it is stopped."""

    def __init__(self, breaks: int = 0) -> None:
        self.breaks, self.starts = breaks, 0
        self.works, self.stopped = threading.Event(), threading.Event()

    def start(self) -> None:
        self.starts += 1
        if self.starts <= self.breaks:
            raise ConnectionError("the database was away")
        self.works.set()
        self.stopped.wait(WAIT)

    def stop(self) -> None:
        self.stopped.set()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vibex.serve.PAUSE_AFTER_FAULT", 0.01)


@pytest.mark.usefixtures("quick")
def test_a_part_that_breaks_is_started_anew() -> None:
    service = Service(breaks=2)
    part = Supervised("worker", lambda: service)
    part.start()
    assert service.works.wait(WAIT)
    assert service.starts == 3
    part.stop()
    assert part.ended(WAIT)


@pytest.mark.usefixtures("quick")
def test_a_part_that_was_stopped_stays_stopped() -> None:
    service = Service()
    part = Supervised("worker", lambda: service)
    part.start()
    assert service.works.wait(WAIT)
    part.stop()
    assert part.ended(WAIT)
    assert service.starts == 1


def test_a_part_that_was_never_started_stops_at_once() -> None:
    part = Supervised("worker", Service)
    part.stop()
    assert part.ended(WAIT)


@pytest.mark.usefixtures("quick")
def test_a_part_that_does_not_end_in_time_is_told() -> None:
    class Stubborn(Service):
        def stop(self) -> None:
            pass

    service = Stubborn()
    part = Supervised("worker", lambda: service)
    part.start()
    assert service.works.wait(WAIT)
    part.stop()
    assert not part.ended(0.05)
    service.stopped.set()


APART = """
import os
from vibex.serve import apart
assert apart(os.getpid) != os.getpid()
try:
    apart(open, "/nowhere/to/be/found")
except FileNotFoundError as fault:
    print(fault.filename)
"""


def test_what_is_done_apart_is_done_by_a_child_and_its_fault_is_raised_here() -> None:
    ran = subprocess.run([sys.executable, "-c", APART], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "/nowhere/to/be/found\n"


def test_a_worker_that_ends_begins_nothing_that_its_threads_had_no_time_for() -> None:
    """What it had in hand goes back to the queue: with a long backlog it would be killed among its cycles else."""
    command = [sys.executable, "-m", "vibex.tests.backlog_process", "12"]
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}  # Celery alone
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout.split() == ["taken=12", f"began={WORKER_THREADS}", f"ended={WORKER_THREADS}"], done.stderr[
        -2000:
    ]
