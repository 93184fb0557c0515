"""`python -m supply.audit`: ask for known faults of every locked package. A fault that is not excepted is exit code 1.

Runs pip-audit in an environment of its own. Who cannot be asked is exit code 2, unless `--unasked-is-fine` says that it
does not matter, as on a machine without the service.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from supply.exceptions import BadExceptions, exceptions
from supply.locked import LOCK, ROOT

PIP_AUDIT: Final = "pip-audit>=2.10,<3"
PATIENCE: Final = 90
"""Seconds for the service to answer."""
FOUND, UNASKED = 1, 2


@dataclass(frozen=True, slots=True)
class Told:
    """What the service said."""

    found: tuple[str, ...]
    """Package, version and id of each fault that is not excepted, with the version that mends it."""
    excepted: tuple[str, ...]
    unasked: tuple[str, ...]
    """Packages that the service does not know, or was not asked for."""
    asked: int


def read(report: dict[str, Any], ids: set[str]) -> Told:
    """Read pip-audit's JSON. A fault is excepted by its id or by one of its other names."""
    found: list[str] = []
    excepted: list[str] = []
    unasked: list[str] = []
    asked = 0
    for one in report["dependencies"]:
        if one.get("skip_reason"):
            unasked.append(str(one["name"]))
            continue
        asked += 1
        for fault in one.get("vulns", ()):
            names = {fault["id"], *fault.get("aliases", ())}
            mended = ", ".join(fault.get("fix_versions", ())) or "no version"
            line = f"{one['name']} {one['version']}: {', '.join(sorted(names))}; mended in {mended}"
            (excepted if names & ids else found).append(line)
    return Told(tuple(found), tuple(excepted), tuple(unasked), asked)


def command() -> list[str]:
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    return [
        uv, "run", "--quiet", "--isolated", "--no-project", "--with", PIP_AUDIT, "pip-audit", "--disable-pip", "--no-deps",
        "--progress-spinner", "off", "--format", "json", "--requirement", str(LOCK),
    ]  # fmt: skip


def main(arguments: list[str]) -> int:
    unasked_code = 0 if "--unasked-is-fine" in arguments else UNASKED
    try:
        ids = {one.id for one in exceptions(today=datetime.now(UTC).date())}
    except BadExceptions as fault:
        return _say(str(fault), FOUND)
    try:
        done = subprocess.run(command(), capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603 - nothing of it is given by anybody
    except subprocess.TimeoutExpired:
        return _say(f"could not be asked for: no answer within {PATIENCE} s", unasked_code)
    except OSError as fault:
        return _say(f"could not be asked for: {fault}", unasked_code)
    try:
        told = read(json.loads(done.stdout), ids)
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1][:200]
        return _say(f"could not be asked for: {last}", unasked_code)
    return _answer(told, unasked_code)


def _answer(told: Told, unasked_code: int) -> int:
    for line in told.excepted:
        _say(f"excepted  {line}", 0)
    for line in told.found:
        _say(f"FOUND     {line}", 0)
    if told.found:
        return _say("Update with make lock, or except it in supply/exceptions.toml with a reason and an end.", FOUND)
    if told.unasked:
        shown = ", ".join(told.unasked[:5]) + (" …" if len(told.unasked) > 5 else "")
        return _say(f"{len(told.unasked)} packages could not be asked for, {told.asked} were: {shown}", unasked_code)
    return _say(f"none of {told.asked} packages has a known fault", 0)


def _say(line: str, code: int) -> int:
    sys.stdout.write(f"{line}\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
