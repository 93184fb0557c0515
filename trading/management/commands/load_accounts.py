"""`manage.py load_accounts FILE`: accounts, limits, keys and bots from one YAML or JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandParser

from vibex.lib.commands import faults_told

if TYPE_CHECKING:
    from trading.services.load_accounts import Item


class Command(BaseCommand):
    help = "Make and change accounts, limits, keys and bots as a YAML or JSON file says (docs/accounts.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="YAML, or JSON when its name ends with .json")
        parser.add_argument("--dry-run", action="store_true", help="show the difference and write nothing")
        parser.add_argument("--json", action="store_true", help="print the difference as JSON")
        parser.add_argument("--owner", metavar="EMAIL", help="whose accounts they are; may be left out for one person")

    def handle(self, **options: Any) -> None:
        # pydantic and PyYAML are loaded here and for no other command.
        from trading.services.load_accounts import accounts_load, file_check, file_read, owner_of

        with faults_told():
            given = file_check(file_read(options["file"]))
            owner = owner_of(options["owner"])
            items = accounts_load(given=given, owner=owner, write=False)
            if not options["json"]:
                self._show(items)
            write = not options["dry_run"] and any(item.action != "unchanged" for item in items)
            if write:
                accounts_load(given=given, owner=owner, write=True, expected=items)
        if options["json"]:
            difference = [asdict(item) for item in items]
            self.stdout.write(json.dumps({"written": write, "difference": difference}, indent=1))
        else:
            self.stdout.write("Written." if write else "Nothing was written.")

    def _show(self, items: Sequence[Item]) -> None:
        for item in items:
            self.stdout.write(str(item))
        count = Counter(item.action for item in items)
        self.stdout.write(f"{count['create']} to create, {count['change']} to change, {count['unchanged']} unchanged.")
