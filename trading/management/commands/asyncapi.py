"""`manage.py asyncapi`: print the AsyncAPI document of the streams; docs/asyncapi.yaml is its output."""

from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Print the AsyncAPI 3.0 document of the streams. docs/asyncapi.yaml is made by it."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        from trading.consumers.asyncapi import text

        self.stdout.write(text(), ending="")
