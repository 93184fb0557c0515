"""Make a person with a role."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import Role
from accounts.services.people import password_generate, user_create
from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = (
        "Make a person who can sign in: a viewer sees what is their own, a trader acts on it, an operator on real money too "
        "and on what is everybody's. Without --ask-password a password is made and shown once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--role", choices=[role.value for role in Role], default=Role.TRADER.value)
        parser.add_argument("--ask-password", action="store_true", help="read the password from the keyboard or a pipe")

    def handle(self, *, email: str, role: str, ask_password: bool, **options: Any) -> None:
        password = _asked() if ask_password else password_generate()
        with faults_told():
            person = user_create(email=email, password=password, role=Role(role))
        self.stdout.write(f"{person.email} can sign in as {role}.")
        if not ask_password:
            self.stdout.write(f"Password, shown once: {password}")


def _asked() -> str:
    return getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
