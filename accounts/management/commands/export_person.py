"""`manage.py export_person EMAIL`: everything that is stored about a person, as one archive."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.services.people import person_named
from accounts.services.privacy import person_export
from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = "Write everything that is stored about a person into a zip of JSON files. Secrets are not in it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--output", type=Path, help="File to write; it must not exist. Default: in this folder.")

    def handle(self, *, email: str, output: Path | None, **options: Any) -> None:
        with faults_told():
            person = person_named(email)
            target = output or Path(f"vibex-person-{person.pk}-{timezone.now():%Y%m%dT%H%M%S}.zip")
            draft = target.with_name(f"{target.name}.part")
            if target.exists():
                raise CommandError(f"{target} is there already: name another file with --output.")
            draft.touch(mode=0o600)
            try:
                with draft.open("wb") as file:
                    counts = person_export(user=person, to=file, actor=None)
                draft.replace(target)
            finally:
                draft.unlink(missing_ok=True)
        rows, tables = sum(counts.values()), sum(map(bool, counts.values()))
        self.stdout.write(f"{target}: {rows:,} rows of {tables} tables about {person.email}.")
