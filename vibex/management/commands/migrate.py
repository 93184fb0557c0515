"""Django's own command; on PostgreSQL its statements take as long as they take, and wait for locks no longer than others."""

from typing import Any

from django.core.management.commands.migrate import Command as Migrate
from django.db import connections

from vibex.lib.connections import unhurried


class Command(Migrate):
    def handle(self, *args: Any, **options: Any) -> str | None:
        with unhurried(connections[options["database"]]):
            return super().handle(*args, **options)
