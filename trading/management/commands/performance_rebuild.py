"""`manage.py performance_rebuild ACCOUNT … | --all`: stored figures made anew from the books, and what was otherwise."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.models import Account
from trading.management.accounts import account_found
from vibex.lib.commands import faults_told

if TYPE_CHECKING:
    from trading.services.performance import Made

SHOWN = 20
"""Differences of an account that are printed one by one."""


class Command(BaseCommand):
    help = (
        "Sum up days and hours of accounts anew from fills, positions, ledger, model calls and equity. Every piece that is "
        "written is whole: it can be interrupted at any time, and nobody has to stop meanwhile."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("accounts", nargs="*", default=[], metavar="ACCOUNT", help="Ids or names of accounts.")
        which.add_argument("--all", action="store_true", help="Every account there is.")
        parser.add_argument(
            "--from", type=int, default=0, dest="first", metavar="ID", help="With --all: not those before."
        )
        parser.add_argument("--since", type=_day, help="Only days from 2026-01-31 on, in the account's time zone.")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON, and progress to stderr.")

    def handle(self, **options: Any) -> None:
        from trading.services.performance import performance_rebuild

        told, done = self.stderr if options["json"] else self.stdout, list[dict[str, Any]]()
        with faults_told():
            accounts = _all(options["first"]) if options["all"] else [account_found(one) for one in options["accounts"]]
            for number, account in enumerate(accounts, 1):
                tell = _progress(told.write, f"{number}/{len(accounts)} {account.name}")
                try:
                    made = performance_rebuild(account, since=options["since"], tell=tell)
                except KeyboardInterrupt:
                    self.stderr.write(f"Interrupted. {_go_on(accounts[number - 1 :], options)}")
                    raise SystemExit(130) from None
                done.append(_as_json(account, made))
                if not options["json"]:
                    self.stdout.write("\n".join(_lines(account, made)))
        if options["json"]:
            self.stdout.write(json.dumps(done, indent=1))
        elif not accounts:
            self.stdout.write("there is no account")


def _progress(write: Callable[[str], Any], what: str) -> Callable[[date], None]:
    return lambda day: write(f"{what}: summed up to {day}")


def _lines(account: Account, made: Made) -> Iterator[str]:
    changed = f"{len(made.differences)} rows were otherwise" if made.differences else "all as it was"
    yield f"{account.name} ({account.badge}): {made.days} days, {changed}; {made.hours} hours written"
    for one in made.differences[:SHOWN]:
        yield f"  {one}"
    if len(made.differences) > SHOWN:
        yield f"  … and {len(made.differences) - SHOWN} more; --json prints all"


def _as_json(account: Account, made: Made) -> dict[str, Any]:
    differences = [
        {"day": str(one.day), "bot": one.bot, "model": one.model, "figures": one.figures} for one in made.differences
    ]
    told = {"account": account.name, "id": account.pk, "days": made.days, "hours": made.hours}
    return told | {"differences": differences}


def _go_on(left: Sequence[Account], options: dict[str, Any]) -> str:
    which = f"--all --from {left[0].pk}" if options["all"] else " ".join(str(one.pk) for one in left)
    since = f" --since {options['since']}" if options["since"] else ""
    return f"What was written is whole. Go on with: manage.py performance_rebuild {which}{since}"


def _all(first: int) -> list[Account]:
    return list(Account.objects.filter(pk__gte=first).order_by("pk"))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a day like 2026-01-31") from None
