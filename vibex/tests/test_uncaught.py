"""What ends a thread or a process of the server is in the log, masked, and not bare on the terminal."""

import json
import subprocess
import sys

import pytest

from vibex.lib.env import ROOT

SCRIPT = """
import threading
from pathlib import Path
from vibex.lib import logging as ours
ours.configure(ours.configuration(level=10, levels={}, files=False, folder=Path(), max_total_mb=1000, stdout=True))
ours.log_uncaught()
def fail():
    raise RuntimeError("password=hunter2-hunter2")
"""


@pytest.mark.parametrize(
    ("end", "code"), [("fail()", 1), ("t = threading.Thread(target=fail); t.start(); t.join()", 0)]
)
def test_it_is_one_masked_line(end, code):
    command = [sys.executable, "-c", SCRIPT + end]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    line = json.loads(done.stdout)
    assert line["level"] == "critical"
    assert "RuntimeError" in line["exception"]
    assert "hunter2" not in done.stdout + done.stderr
