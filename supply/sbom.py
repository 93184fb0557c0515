"""`python -m supply.sbom FILE`: the bill of materials (CycloneDX 1.6, JSON) of what an installation gets.

The packages of requirements.lock are installed, hashes checked, into a folder of their own that is looked at and thrown
away; the tool runs in another one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from supply.locked import LOCK, ROOT

CYCLONEDX: Final = "cyclonedx-bom>=7.3,<8"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m supply.sbom FILE\n")
        return 2
    target, uv = Path(arguments[0]), shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = [uv, "run", "--quiet", "--isolated", "--no-project", "--with", CYCLONEDX, "cyclonedx-py", "environment"]
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, f"{folder}/venv"],
            [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", f"{folder}/venv", str(LOCK)],
            [*run, "--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application", "--output-reproducible",
             "--spec-version", "1.6", "--output-format", "JSON", "--output-file", f"{folder}/sbom.json", f"{folder}/venv"],
        ):  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - nothing of it is given by anybody
            if done.returncode:
                sys.stderr.write(done.stderr)
                return 1
        shutil.move(f"{folder}/sbom.json", target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
