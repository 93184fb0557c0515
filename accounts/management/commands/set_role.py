"""Give a person another role."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import Role
from accounts.services.people import person_named
from accounts.services.roles import role_set
from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = "Give a person another role instead of the one they have. Open pages and streams follow at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("role", choices=[role.value for role in Role])

    def handle(self, *, email: str, role: str, **options: Any) -> None:
        with faults_told():
            person = person_named(email)
            role_set(user=person, role=Role(role), actor=None)
        self.stdout.write(f"{person.email} is {role} now.")
