"""`manage.py make_history --scale N`: a large history that never happened, to measure pages and lists on."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from vibex.lib.commands import faults_told

SMALLEST, LARGEST = 0.00001, 100.0
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Fill an empty database with made candles, accounts and books that agree: at scale 1 ten million candles, five "
        "million orders, as many fills, a million model calls. The same seed makes the same rows. It can be interrupted "
        "at any time; the same command goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--scale", type=_scale, required=True, help="How much; a fraction of one is possible.")
        parser.add_argument("--seed", type=int, default=7, help="What the numbers are drawn from (7).")
        parser.add_argument("--beside", action="store_true", help="Also in a database that holds something else.")
        parser.add_argument("--dry-run", action="store_true", help="Only say how many rows it would be.")

    def handle(self, **options: Any) -> None:
        from trading.services.history.make import OWNER, history_make
        from trading.services.history.plan import Plan

        plan = Plan.of(options["scale"], options["seed"])
        for table, count in plan.rows.items():
            self.stdout.write(f"  {table:<13} {count:>13,}")
        if options["dry_run"]:
            return
        with faults_told():
            try:
                history_make(plan=plan, told=_progress(self.stdout.write, plan.rows), beside=options["beside"])
            except KeyboardInterrupt:
                self.stderr.write("Interrupted. What is there is whole; the same command goes on.")
                raise SystemExit(INTERRUPTED) from None
        self.stdout.write(f"Made: {plan.accounts} accounts of {OWNER}; manage.py changepassword lets you in.")


def _progress(write: Callable[[str], Any], rows: dict[str, int]) -> Callable[[str, int], None]:
    """Return what tells every few seconds how much is done and how long the rest takes at this pace."""
    began, told_at, done, everything = time.monotonic(), time.monotonic(), 0, sum(rows.values())

    def told(table: str, count: int) -> None:
        nonlocal told_at, done
        done += count
        now = time.monotonic()
        if now - told_at >= 5:
            told_at = now
            left = (now - began) / done * (everything - done)
            write(f"{done / everything:4.0%}  {table:<13} {done:>13,} rows, about {_span(left)} left")

    return told


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not SMALLEST <= scale <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no scale: use a number from {SMALLEST:g} to {LARGEST:g}, as 0.1")
    return scale
