"""`manage.py backup`: back up the database, list what there is, prove one, make a key."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = "Back up the database to BACKUP_DIR or BACKUP_S3_URL, encrypted when a key is set. See docs/backup.md."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--list", action="store_true", help="Show the backups that there are, newest last.")
        what.add_argument(
            "--verify",
            nargs="?",
            const="latest",
            metavar="NAME",
            help="Restore one (default: the latest) into a scratch database and compare counts and sums.",
        )
        what.add_argument("--new-key", action="store_true", help="Print a new key for BACKUP_KEY and its public half.")
        parser.add_argument("--json", action="store_true", help="Print it as JSON.")

    def handle(self, **options: Any) -> None:
        self._json = options["json"]
        with faults_told():
            if options["new_key"]:
                self._new_key()
            elif options["list"]:
                self._list()
            elif options["verify"]:
                self._verify(options["verify"])
            else:
                self._make()

    def _make(self) -> None:
        from vibex.backup.making import backup_make

        made = backup_make()
        found = made.manifest
        told = {"name": found.name, "place": made.place, "bytes": found.size, "seconds": found.seconds,
                "encrypted": found.encrypted, "removed": list(made.removed),
                "not_removed": made.unthinned}  # fmt: skip
        how = "encrypted" if found.encrypted else "NOT encrypted (docs/backup.md)"
        lines = [f"{found.name}: {found.size / 1e6:,.1f} MB in {found.seconds:.1f} s, {how}, in {made.place}"]
        lines += [f"  removed {file}" for file in made.removed]
        lines += [f"  old ones could NOT be removed: {made.unthinned}"] if made.unthinned else []
        self._say(told, "\n".join(lines))

    def _list(self) -> None:
        from vibex.backup.finding import backups_in
        from vibex.backup.storage import storage_chosen

        storage = storage_chosen()
        found = backups_in(storage)
        told = [one.model_dump(mode="json", exclude={"tables", "sealed_tables", "migrations"}) for one in found]
        lines = [
            f"{one.name}  {one.at:%F %T} UTC  {one.size / 1e6:>10,.1f} MB  {one.database:<10}  version {one.program}"
            f"  {'encrypted' if one.encrypted else 'not encrypted'}"
            for one in found
        ]
        self._say(told, "\n".join(lines) or f"There is no backup in {storage.place}.")

    def _verify(self, wanted: str) -> None:
        from vibex.backup.restoring import backup_verify

        said: list[str] = []
        found = backup_verify(wanted, tell=said.append)
        self._say(
            {"name": found.name, "well": True, "said": said},
            "\n".join([f"{found.name}: well", *(f"  {one}" for one in said)]),
        )

    def _new_key(self) -> None:
        from vibex.backup.sealing import key_new

        key, public = key_new()
        self._say(
            {"key": key, "recipient": public},
            f"BACKUP_KEY={key}\nBACKUP_RECIPIENT={public}\n\nThe key opens every backup: keep it where neither the server nor "
            "its backups are. On the server the recipient alone is enough to make them.",
        )

    def _say(self, told: Any, text: str) -> None:
        self.stdout.write(json.dumps(told, indent=1) if self._json else text)
