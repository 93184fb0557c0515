"""`manage.py forget_person EMAIL`: a person goes, what was traded stays under a pseudonym."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.services.people import person_named
from trading.services.leaving import person_forget, reasons_to_stay
from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = (
        "Delete how a person gets in, what they were told and the keys of their accounts, and write a pseudonym wherever "
        "their address stands. Orders, fills, decisions and the audit trail stay. There is no way back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--dry-run", action="store_true", help="Only say whether anything stands in the way.")
        parser.add_argument("--yes", action="store_true", help="Do not ask for the address once more.")

    def handle(self, *, email: str, dry_run: bool, yes: bool, **options: Any) -> None:
        with faults_told():
            person = person_named(email)
            if dry_run:
                self._told(list(reasons_to_stay(person)))
                return
            if not yes and input(f"Type {person.email} to forget this person for good: ").strip() != person.email:
                raise CommandError("That is not the address. Nothing was changed.")
            done = person_forget(user=person, actor=None)
        changed, gone = sum(done.mentions.values()), sum(done.deleted.values())
        self.stdout.write(
            f"Forgotten. What was traded stays under {done.pseudonym}; {changed} rows were rewritten, {gone} deleted."
        )
        self.stdout.write("Log files and backups still know the person until they are too old: see docs/privacy.md.")

    def _told(self, reasons: list[str]) -> None:
        if reasons:
            raise CommandError("Not yet:\n  " + "\n  ".join(reasons))
        self.stdout.write("Nothing stands in the way.")
