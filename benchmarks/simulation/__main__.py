"""`python -m benchmarks.simulation [--write]`: simulate a hundred thousand bots and print the tables; takes some minutes."""

from __future__ import annotations

import argparse

from benchmarks.__main__ import write
from benchmarks.simulation.tables import tables
from vibex.lib.env import ROOT

PAGE = ROOT / "docs" / "scaling.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--write", action="store_true", help="also put the tables into docs/scaling.md")
    options = parser.parse_args()
    text = "\n\n".join(table.markdown() for table in tables())
    print(text)
    if options.write:
        write(PAGE, "simulation", text)


if __name__ == "__main__":
    main()
