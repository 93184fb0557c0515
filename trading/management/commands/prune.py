"""`manage.py prune`: let go what was kept long enough, or say what that would be."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from vibex.lib.commands import faults_told
from vibex.lib.retention import Pruned


class Command(BaseCommand):
    help = (
        "Let go what was kept as long as the settings say. The scheduler does the same once a day. Orders, fills, "
        "decisions and the ledger never go."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count: change nothing.")
        parser.add_argument("--only", metavar="TABLE", help="Only this table, as accounts.SignIn.")
        parser.add_argument("--kept", action="store_true", help="List the tables that are kept for good, and why.")
        parser.add_argument("--json", action="store_true", help="Print it as JSON.")

    def handle(self, **options: Any) -> None:
        from trading.services.retention import ALL_RULES, KEPT
        from vibex.lib.retention import rules_carried_out, rules_counted

        if options["kept"]:
            self._told([{"table": table, "why": why} for table, why in sorted(KEPT.items())], options["json"])
            return
        rules = [rule for rule in ALL_RULES if options["only"] in (None, rule.table)]
        if not rules:
            known = ", ".join(rule.table for rule in ALL_RULES)
            raise CommandError(f"There is no rule for {options['only']}. Tables with one: {known}.", returncode=2)
        dry = options["dry_run"]
        with faults_told():
            done = rules_counted(rules) if dry else rules_carried_out(rules, seconds=float("inf"))
            self._told([_line(one) | {"dry_run": dry} for one in done], options["json"])

    def _told(self, lines: list[dict[str, Any]], as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(lines, indent=1))
            return
        for line in lines:
            if "why" in line:
                self.stdout.write(f"{line['table']:38} {line['why']}")
            else:
                verb = "would go" if line["dry_run"] else "gone"
                self.stdout.write(f"{line['table']:34} {line['rows']:>10,} {verb:9} {line['what']} ({line['after']})")


def _line(one: Pruned) -> dict[str, Any]:
    days = getattr(settings, one.rule.after, None)
    after = f"{one.rule.after}={days}" if days is not None else one.rule.after
    return {
        "table": one.rule.table,
        "what": one.rule.what,
        "after": after,
        "rows": one.rows,
        "seconds": round(one.seconds, 3),
    }
