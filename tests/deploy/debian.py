"""Programs that only Debian packages: unpacked into a folder of the tests, never installed, never started as a service."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from conftest import missing

PATIENCE = 300


@cache
def located(package: str, *programs: str) -> tuple[Path, ...]:
    """Return the paths of programs: those on the path, else out of their package. Skips (fails in CI) without either."""
    installed = [shutil.which(program) for program in programs]
    if all(installed):
        return tuple(Path(str(found)) for found in installed)
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        missing(f"{', '.join(programs)}: on the path, or apt-get to fetch Debian's package {package}")
    folder = Path(mkdtemp(prefix="vibex-debian-"))
    if not _fetched(package, folder) and not (_run(folder, "apt-get", "update") and _fetched(package, folder)):
        missing(f"Debian's package {package}, which apt-get could not fetch")
    for archive in folder.glob("*.deb"):
        _run(folder, "dpkg-deb", "--extract", str(archive), str(folder))
        archive.unlink()
    return tuple(folder / "usr" / "bin" / program for program in programs)


def _fetched(package: str, folder: Path) -> bool:
    return _run(folder, "apt-get", "download", package)


def _run(folder: Path, *command: str) -> bool:
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=PATIENCE, check=False)
    return done.returncode == 0
