"""What it costs a process that has Django to import the module that holds the client of models."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import partial
from statistics import median

from benchmarks import house
from benchmarks.report import Table, against
from benchmarks.timing import in_turns, of_children
from vibex.lib.env import ROOT

LIMIT_MS = 20.0
ROUNDS = 7
SETUP = "import django; django.setup()"
MODULE = "decisions.llm.client"
TIMED = f"""{SETUP}
import json, sys, time
before = len(sys.modules)
began = time.perf_counter()
import {MODULE}
took = (time.perf_counter() - began) * 1000
print(json.dumps({{"ms": took, "modules": len(sys.modules) - before, "openai": "openai" in sys.modules}}))
"""


def measure() -> list[Table]:
    with house.folder() as home:
        environment = house.environment(home)
        run = partial(_run, environment)
        candidates = {
            "Django": partial(run, SETUP),
            MODULE: partial(run, f"{SETUP}; import {MODULE}"),
            "openai": partial(run, f"{SETUP}; import openai"),
        }
        for warm in candidates.values():
            warm()  # the first run writes byte code
        found = in_turns(candidates, rounds=ROUNDS, clock=of_children)
        timed = [json.loads(run(TIMED)) for _ in range(ROUNDS)]
    if any(one["openai"] for one in timed):
        raise RuntimeError(f"{MODULE} imports openai: it has to be imported where the first question is asked")
    inside = median(one["ms"] for one in timed)
    over = {name: (found[name] - found["Django"]) * 1000 for name in (MODULE, "openai")}
    rows = (
        (
            f"`{MODULE}`",
            f"{inside:.1f} ms",
            f"{over[MODULE]:+.1f} ms",
            f"{timed[0]['modules']}",
            against(inside, LIMIT_MS),
        ),
        ("`openai`, for comparison", "", f"{over['openai']:+.1f} ms", "", ""),
    )
    note = (
        f"Fresh processes that have set up Django, median of {ROUNDS}. Import: wall time of the statement. Processor time: "
        "of the whole process over one that only sets up Django, in turns."
    )
    columns = ("module", "import", "processor time", "modules more", f"≤ {LIMIT_MS:.0f} ms")
    return [Table("Importing the client", columns, rows, (note,))]


def _run(environment: Mapping[str, str], code: str) -> str:
    ran = subprocess.run(
        house.python("-c", code), cwd=ROOT, env=dict(environment), check=True, capture_output=True, text=True
    )
    return ran.stdout
