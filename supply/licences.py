"""The licences of what is installed with Vibex: `python -m supply.licences` writes docs/licences.md, `--check` compares.

Read from the metadata of the packages as SPDX expressions. A licence that nobody has looked at yet is a fault.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import Final

from supply.locked import ROOT, locked

PAGE: Final = ROOT / "docs" / "licences.md"
ALLOWED: Final = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "LGPL-3.0-only", "LGPL-3.0-or-later",
        "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "TCL", "Unlicense", "ZPL-2.1", "Zlib",
    }
)  # fmt: skip
"""Each may be used, unchanged and as a library, in a program under MIT. LGPL and MPL bind only who changes that library."""
WORDS: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "New BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 3-Clause OR Apache-2.0": "BSD-3-Clause OR Apache-2.0",
    "MIT License": "MIT",
    "LGPLv3": "LGPL-3.0-or-later",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "ISC License (ISCL)": "ISC",
}
"""How packages without an expression say it."""
LOOKED_UP: Final = {
    "pyrage": ("MIT", "its licence file"),
    "ta-lib": ("BSD-2-Clause", "its licence file"),
    "colorama": ("BSD-3-Clause", "only on Windows"),
    "httpx2-jsfetch": ("BSD-3-Clause", "only in a browser"),
    "u-msgpack-python": ("MIT", "only on other Pythons than CPython"),
    "python-dateutil": ("Apache-2.0 OR BSD-3-Clause", "its metadata says “Dual License”"),
}
"""What the metadata here does not tell: licence, and where it is from."""
HEAD: Final = """# Licences

Vibex is under the [MIT licence](../LICENSE). What is installed with it has the licences below: all that is in
`requirements.lock`, without the tools of development, which nobody is given. Made by `make licences` from the metadata of
the packages; a test compares. What a licence asks for, and how one is added, is in [supply-chain.md](supply-chain.md#licences).

| package | licence (SPDX) | said by |
|---|---|---|
"""


def licence_of(name: str) -> tuple[str, str]:
    """Return the SPDX expression of a package, empty where nobody knows, and who says so."""
    if name in LOOKED_UP:
        return LOOKED_UP[name]
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return "", "not installed here"
    if expression := told.get("License-Expression"):
        return str(expression), "expression"
    text = str(told.get("License") or "").strip()
    if (found := WORDS.get(text, text)) and all(part in ALLOWED for part in parts_of(found)) and found != "BSD":
        return found, "licence field"
    kinds = {
        str(one).rpartition(" :: ")[2] for one in told.get_all("Classifier") or [] if str(one).startswith("License")
    }
    return " OR ".join(sorted(WORDS.get(kind, kind) for kind in kinds)), "classifier"


def parts_of(expression: str) -> list[str]:
    """Return the licences of an expression."""
    return [part for part in re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", expression) if part]


def table() -> dict[str, tuple[str, str]]:
    """Return licence and source of every locked package, by name."""
    return {one.name: licence_of(one.name) for one in sorted(locked(), key=lambda one: one.name)}


def faults(found: dict[str, tuple[str, str]]) -> list[str]:
    """Return one line for each package whose licence is unknown or was not looked at."""
    lines = []
    for name, (licence, _) in found.items():
        odd = [part for part in parts_of(licence) if part not in ALLOWED]
        if not licence or odd:
            lines.append(
                f"{name}: {', '.join(odd) or 'no licence is known'}. Look it up, then add it in supply/licences.py"
            )
    return lines


def page(found: dict[str, tuple[str, str]]) -> str:
    """Return docs/licences.md."""
    return HEAD + "".join(f"| {name} | {licence} | {source} |\n" for name, (licence, source) in found.items())


def main(arguments: list[str]) -> int:
    found = table()
    if wrong := faults(found):
        sys.stderr.write("\n".join(wrong) + "\n")
        return 1
    if "--check" in arguments:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page(found):
            sys.stderr.write("docs/licences.md is not in step with requirements.lock: run make licences\n")
            return 1
        return 0
    PAGE.write_text(page(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
