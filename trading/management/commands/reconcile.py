"""`manage.py reconcile [ACCOUNT | --all]`: compare books and exchange, mend what evidence allows, say what is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.models import Account
from trading.management.accounts import account_found
from vibex.lib.commands import faults_told
from vibex.lib.errors import NeedsOperator, Rejected, Retryable


class Command(BaseCommand):
    help = "Compare the books of an account with its exchange, mend what evidence allows, and say what needs a person."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("account", nargs="?", help="Id or name of the account.")
        which.add_argument("--all", action="store_true", help="Every account that trades or holds something.")
        parser.add_argument("--dry-run", action="store_true", help="Only compare: touch neither exchange nor books.")
        parser.add_argument("--json", action="store_true", help="Print it as JSON.")

    def handle(self, **options: Any) -> None:
        with faults_told():
            accounts = _all() if options["all"] else [account_found(options["account"])]
            found = [_reconciled(account, dry=options["dry_run"]) for account in accounts]
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=1))
        else:
            self.stdout.write(
                "\n".join(line for one in found for line in _lines(one)) or "no account trades or holds anything"
            )
        if any(one["left"] for one in found):
            raise SystemExit(1)


def _reconciled(account: Account, *, dry: bool) -> dict[str, Any]:
    from trading.services.reconcile import reconcile, reconcile_dry

    told: dict[str, Any] = {"account": account.name, "id": account.pk, "mode": account.badge, "dry_run": dry}
    try:
        done = reconcile_dry(account) if dry else reconcile(account, trigger="command")
    except (Retryable, NeedsOperator, Rejected) as fault:
        return told | {"differences": [], "mended": [], "left": [str(fault)], "seconds": None}
    differences = [
        {"kind": one.kind.value, "subject": one.subject, "ours": one.ours, "theirs": one.theirs, "remedy": one.remedy}
        for one in done.differences
    ]
    mended, left = list(done.mended), list(done.left)
    return told | {"differences": differences, "mended": mended, "left": left, "seconds": round(done.seconds, 3)}


def _lines(one: dict[str, Any]) -> Iterator[str]:
    took = "" if one["seconds"] is None else f", {one['seconds']:.2f} s"
    state = f"{len(one['left'])} left" if one["left"] else "agrees"
    yield f"{one['account']} ({one['mode']}): {state}{', dry run' if one['dry_run'] else ''}{took}"
    for found in one["differences"]:
        yield f"  differs  {found['kind']} {found['subject']}: ours {found['ours']}, theirs {found['theirs']}"
        if one["dry_run"]:
            yield f"           without --dry-run: {found['remedy']}"
    for text in one["mended"]:
        yield f"  mended   {text}"
    for text in one["left"] if not one["dry_run"] or not one["differences"] else []:
        yield f"  LEFT     {text}"


def _all() -> list[Account]:
    from trading.services.schedule import accounts_to_reconcile

    wanted = set(accounts_to_reconcile())
    return list(Account.objects.filter(pk__in=wanted).select_related("limits").order_by("pk"))
