"""A backtest beside the server: `manage.py backtest` as a process of its own, that nothing here has to wait for.

It holds the other end of a pipe of ours as its standard input. However this process ends, killed too, the pipe closes
with it and the backtest ends: nobody is left to read what comes out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from django.utils import timezone

from accounts.models import Job, User
from accounts.services.jobs import JobWork
from vibex.lib.clock import Deadline
from vibex.lib.env import ROOT
from vibex.lib.errors import Rejected, Retryable
from vibex.lib.masking import mask_text

KIND: Final = "backtest"
NICE: Final = 15
"""How far it stands back behind what trades."""
LONGEST: Final = 900.0
"""Seconds after which it is ended."""
LOOK_EVERY: Final = 0.25
MOST_POINTS: Final = 1_000
MOST_TRADES: Final = 2_000
PROGRESS: Final = "progress: "
FAULT: Final = "CommandError: "
ALONE: Final = 3
"""What the process returns that ended because the one that began it is gone."""


def backtest_refuse_second(*, owner: User, asked: dict[str, Any]) -> None:
    """Raise Rejected while another backtest of the person runs: one at a time. The same once more is no other."""
    running = Job.objects.filter(owner=owner, kind=KIND, status=Job.Status.RUNNING, alive_until__gt=timezone.now())
    for job in running:
        if job.request != asked:
            text = f"Job {job.pk} is a backtest of yours that still runs: wait for it, or break it off."
            raise Rejected(text, code="backtest-running")


def backtest_work(job: JobWork, *, arguments: Sequence[str]) -> dict[str, Any]:
    """Run `manage.py backtest` with these arguments and return its report, thinned to what an answer can hold.

    Raises Rejected with the reason when it could not be run or was cancelled, Retryable when it took too long.
    """
    _refuse_later(job)
    with tempfile.TemporaryDirectory(prefix="vibex-backtest-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        with out.open("wb") as stdout, err.open("wb") as stderr, _process(arguments, stdout, stderr) as process:
            _follow(job, process, err)
        if process.returncode != 0:
            raise Rejected(_why(err), code="backtest-failed")
        return thinned(json.loads(out.read_bytes()))


def _refuse_later(job: JobWork) -> None:
    """Raise Rejected for the later one of two that a person began at the same moment, before either could be seen."""
    running = Job.objects.filter(owner_id=job.owner_id, kind=KIND, status=Job.Status.RUNNING, pk__lt=job.job_id)
    if running.filter(alive_until__gt=timezone.now()).exists():
        raise Rejected("Another backtest of yours still runs: wait for it, or break it off.", code="backtest-running")


def thinned(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report with at most so many points of equity, the last one among them, and so many of its newest trades."""
    series, trades = report["series"], report["trades"]
    step = -(-len(series) // MOST_POINTS)
    kept = series[::-1][::step][::-1] if step > 1 else series
    notes = list(report["notes"])
    if len(trades) > MOST_TRADES:
        notes.append(f"the newest {MOST_TRADES} of {len(trades)} trades are listed")
    return {**report, "series": kept, "trades": trades[-MOST_TRADES:], "notes": notes}


def end_with_parent() -> None:
    """End this process as soon as the one that began it is gone. For the process of a backtest."""
    threading.Thread(target=_end_at_end_of_input, name="end-with-parent", daemon=True).start()


def _end_at_end_of_input() -> None:
    while os.read(sys.stdin.fileno(), 1):  # nothing is ever sent
        pass
    os._exit(ALONE)  # from a thread nothing else ends the process at once; there is nothing to put in order


@contextmanager
def _process(arguments: Sequence[str], stdout: Any, stderr: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command behind everything else; it outlives neither the block nor this process."""
    own = ("--json", "--progress", "--end-with-input")
    command = [sys.executable, str(ROOT / "manage.py"), "backtest", *arguments, *own]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, cwd=ROOT)  # noqa: S603
    try:
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _follow(job: JobWork, process: subprocess.Popen[bytes], err: Path) -> None:
    """Tell how far it is until it ends."""
    patience, told = Deadline(LONGEST), ""
    while process.poll() is None:
        if job.stop.wait(LOOK_EVERY):
            raise Rejected("It was cancelled.", code="cancelled")
        if patience.passed():
            raise Retryable(f"The backtest was not done after {LONGEST:.0f} s: choose a shorter time or fewer symbols.")
        lines = [line for line in _lines(err) if line.startswith(PROGRESS)]
        if lines and lines[-1] != told:
            told = lines[-1]
            job.tell(told.removeprefix(PROGRESS))


def _why(err: Path) -> str:
    lines = [line for line in _lines(err) if line.strip() and not line.startswith(PROGRESS)]
    said = next((line for line in reversed(lines) if line.startswith(FAULT)), lines[-1] if lines else "it said nothing")
    return mask_text(said.removeprefix(FAULT))[:500]


def _lines(err: Path) -> list[str]:
    return err.read_text(encoding="utf-8", errors="replace").splitlines()
