"""A worker that has time stands back on a busy machine, and no other one does."""

import json
import subprocess
import sys

import pytest

from vibex.lib.env import ROOT
from vibex.lib.queues import QUEUES
from vibex.processes import SERVICES
from vibex.workers import NICE

STARTED = """
import json, os, sys, threading
import vibex.celery
from celery.signals import celeryd_init
from vibex.lib.alive import never_end
celeryd_init.send(sender="w@h", instance=None, conf=None, options={"queues": json.loads(sys.argv[1])})
never_end()
working = threading.Thread(target=lambda: print(os.nice(0)))
working.start()
working.join()
"""


def niceness(queues: list[str] | None) -> int:
    """Return that of a thread of a worker of these queues, above what its process had from us."""
    command = [sys.executable, "-c", STARTED, json.dumps(queues)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(ran.stdout) - int(subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(
    ("queues", "stands_back"),
    [(["market", "slow"], NICE), (["guard"], 0), (["cycles"], 0), (list(QUEUES), 0), (None, 0)],
)
def test_only_a_worker_that_neither_decides_nor_guards_stands_back(queues: list[str] | None, stands_back: int) -> None:
    assert niceness(queues) == stands_back


def test_it_is_the_worker_of_the_slow_queue() -> None:
    taken = {one.name: one.command[one.command.index("-Q") + 1].split(",") for one in SERVICES if "-Q" in one.command}
    assert taken["worker-slow"] == ["market", "slow"]
