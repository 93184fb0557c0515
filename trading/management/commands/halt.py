"""`manage.py halt [ACCOUNT | --all]`: the emergency stop. It needs the database and the exchange, and nothing else."""

from __future__ import annotations

import json
import threading
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Account
from trading.management.accounts import account_found
from vibex.lib.commands import faults_told

STAYS = "What is latched stays latched: nothing is opened, and the guard goes on every 30 seconds."


class Command(BaseCommand):
    help = (
        "Emergency stop: latch, cancel every order, close every position reduce-only, read the exchange until it is flat. "
        "Exit code 1 when an account is not proved flat in time. `manage.py resume` lifts it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("account", nargs="?", help="Id or name of the account.")
        which.add_argument("--all", action="store_true", help="Every account there is.")
        parser.add_argument(
            "--keep-positions",
            action="store_true",
            help="Cancel what could open something; leave positions and what protects them.",
        )
        parser.add_argument("--reason", default="", help="Why; it stays on record.")
        parser.add_argument(
            "--wait", type=_seconds, default=60.0, metavar="S", help="Seconds to wait for the proof (default: 60)."
        )
        parser.add_argument("--json", action="store_true", help="Print the result as JSON, and progress to stderr.")

    def handle(self, **options: Any) -> None:
        from trading.services.halt_all import accounts_halt

        with faults_told():
            accounts = _all() if options["all"] else [account_found(options["account"])]
            told = _Progress(self.stderr if options["json"] else self.stdout)
            try:
                done = accounts_halt(
                    accounts=accounts,
                    reason=options["reason"] or "emergency stop from the command line",
                    keep_positions=options["keep_positions"],
                    wait=options["wait"],
                    work_for=options["wait"],
                    tell=told,
                )
            except KeyboardInterrupt:
                self.stderr.write(f"Interrupted. {STAYS}")
                raise SystemExit(130) from None
        if options["json"]:
            self.stdout.write(json.dumps([asdict(one) for one in done], indent=1))
        else:
            self.stdout.write("\n".join(_table(accounts, done)))
        if not all(one.flat for one in done):
            self.stderr.write(f"Not all are proved flat. {STAYS}")
            raise SystemExit(1)


class _Progress:
    """Prints each thing as it is done, from any thread."""

    def __init__(self, out: Any) -> None:
        self._out, self._began, self._lock = out, time.monotonic(), threading.Lock()

    def __call__(self, account: Account, kind: str, text: str) -> None:
        words = {"flat": "read again: flat", "open": "not flat yet", "latched": "latched"}.get(kind, kind)
        line = f"{time.monotonic() - self._began:7.2f} s  {account}  {words}{': ' if text and kind != 'cancelled' else ' '}{text}"
        with self._lock:
            self._out.write(line.rstrip())


def _table(accounts: Sequence[Account], done: Sequence[Any]) -> Iterator[str]:
    names = [str(account) for account in accounts]
    wide = max([len(name) for name in names] + [7])
    yield f"\n{'account':<{wide}}  latched  cancelled  closed  flat  seconds"
    for name, one in zip(names, done, strict=True):
        flat = "yes" if one.flat else "NO"
        latched = ("now" if one.latched else "before") if one.halted else "NO"
        figures = f"{latched:<7}  {len(one.cancelled):>9}  {len(one.closed):>6}  {flat:<4}  {one.seconds:>7.2f}"
        yield f"{name:<{wide}}  {figures}{'  ' if one.problem else ''}{one.problem}"
        if one.keep_positions:
            yield f"{'':<{wide}}  its positions stay, with what protects them"


def _all() -> list[Account]:
    accounts = list(Account.objects.select_related("limits", "owner").order_by("-mode", "pk"))
    if not accounts:
        raise CommandError("there is no account: `manage.py up` makes the first one")
    return accounts


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 3600")
    return seconds
