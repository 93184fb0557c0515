"""`python -m benchmarks [NAME …]`: run the benchmarks and print what they found; `make bench` runs them all."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks import house
from benchmarks.report import Table
from vibex.lib.env import ROOT

BENCHMARKS = {
    "cycle": "a cycle without a model: time and queries, on SQLite and PostgreSQL",
    "snapshot": "a snapshot of six symbols and four timeframes: time and queries, on SQLite and PostgreSQL",
    "backfill": "a million candles into the database, against bare COPY and executemany",
    "signing": "a signature, and a signed request against a bare one",
    "asking": "our time around a model call, and 64 asks at once, on SQLite and PostgreSQL",
    "import_cost": "importing the module that holds the client of models",
    "ruling": "six proposals through every rule of risk",
    "shared": "requests to the venue and indicators of 1 to 1,000 bots on the same symbols, with the growth fitted",
    "guard": "passes of the guard over 100, 300 and 1,000 accounts, on paper and live, on SQLite and PostgreSQL",
    "halt": "an emergency stop of one live account, and of three at once",
    "reconcile": "a reconcile of an account with ten thousand fills",
    "backtest": "the rule of the field over a year, a month of minutes, a month of hours: candles a second",
    "indicators": "indicators against bare TA-Lib",
    "metrics": "all figures of a million points of equity, and intervals of a year of hours",
    "api": "lists of the API with 100,000 rows behind each, balance, performance, the web process",
    "pages": "pages with 100 bots and 1,000,000 candles: queries, time, size, first paint",
    "history": "pages and lists over made histories of three sizes, with the growth fitted",
    "equity_series": "a year of equity at one minute in 1,000 points, on SQLite and PostgreSQL",
    "streams": "a hundred to a thousand stream clients: lag, storm, memory, events that nobody watches",
    "user_streams": "listening to 100, 300 and 1,000 live accounts: handles, memory, processor time",
    "check": "manage.py check against a bare project",
    "start": "how soon up, web and worker are ready",
    "memory": "manage.py up: first decision, memory",
}
PAGE = ROOT / "docs" / "performance.md"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    with house.folder() as home:
        house.enter(home)
        print(machine(), flush=True)
        for name in options.names or BENCHMARKS:
            tables: list[Table] = import_module(f"benchmarks.{name}").measure()
            text = "\n\n".join(table.markdown() for table in tables)
            print(f"\n{text}", flush=True)
            if options.write:
                write(options.page, name, text)
        if options.write:
            write(options.page, "machine", machine())


def parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<13} {what}" for name, what in BENCHMARKS.items())
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure, and print ratios of one run. Without names: all of them.",
        epilog=f"benchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("names", nargs="*", type=_name, metavar="NAME", help="which to run")
    made.add_argument("--write", action="store_true", help="also put the figures into docs/performance.md")
    made.add_argument("--page", type=Path, default=PAGE, help=argparse.SUPPRESS)
    return made


def _name(text: str) -> str:
    if text not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"there is no benchmark {text!r}; there are {', '.join(BENCHMARKS)}")
    return text


def machine() -> str:
    """Return in one line what the figures were measured on, and how busy it was."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}; load average {load}."


def write(page: Path, name: str, text: str) -> None:
    """Put the text between the page's markers of this name. Raises SystemExit when they are not there."""
    begin, end = f"<!-- figures: {name} -->", f"<!-- end of {name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page.name} has no place for {name}: put {begin} and {end} where it belongs.")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
