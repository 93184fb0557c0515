"""Seal the keys of all live accounts, and where alerts are sent, with the newest key of CREDENTIALS_KEY."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.services.credentials import credentials_reseal
from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = (
        "Seal the keys of all live accounts, the addresses that alerts are sent to and the second factors of people with the "
        "first key of CREDENTIALS_KEY: all of them or none."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done and write nothing")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        with faults_told():
            done = credentials_reseal(dry_run=dry_run)
        if done.closed:
            raise CommandError(
                f"No key of CREDENTIALS_KEY opens what is sealed for {', '.join(done.closed)}; nothing was written. Add the key "
                "that sealed it, or enter it anew (or delete it) in the admin or on the page of the channels, or remove the second "
                "factor with `manage.py reset_password --without-second-factor`, then start again."
            )
        for whose in done.resealed:
            self.stdout.write(f"  {whose}")
        verb = "would be sealed" if dry_run else "sealed"
        self.stdout.write(
            f"{len(done.resealed)} {verb} with the newest key, {len(done.unchanged)} were sealed with it already."
        )
