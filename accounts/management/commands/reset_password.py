"""Let a person in again who lost the password, or the second factor."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import User
from accounts.services.passwords import password_set, reset_link
from accounts.services.people import password_generate, person_named
from accounts.services.second_factor import second_factor_drop
from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = (
        "Set a new password for a person and show it once; with --link show an address instead at which they set one. "
        "All their sign-ins end; keys of programs stay."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--link", action="store_true", help="show a link that works once (needs PUBLIC_URL)")
        parser.add_argument(
            "--without-second-factor",
            action="store_true",
            help="remove the second factor too: phone and codes are lost",
        )

    def handle(self, *, email: str, link: bool, without_second_factor: bool, **options: Any) -> None:
        with faults_told():
            person = person_named(email)
            told = f"Link, works once: {reset_link(person)}" if link else _new_password(person)
            if without_second_factor and second_factor_drop(user=person, actor=None):
                self.stdout.write("The second factor is removed.")
        self.stdout.write(told)


def _new_password(person: User) -> str:
    password = password_generate()
    password_set(user=person, password=password, actor=None)
    return f"Password, shown once: {password}"
