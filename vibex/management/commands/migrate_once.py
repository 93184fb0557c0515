"""`manage.py migrate_once`: bring the tables to the present version, one at a time however many ask for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError, connection

from vibex import serve
from vibex.lib.commands import faults_told
from vibex.lib.errors import Rejected

LOCK: Final = 0x56494245
"""The number of our advisory lock: VIBE."""
APART: Final = 0.5


class Command(BaseCommand):
    help = "Bring the tables to the present version and install what is part of Vibex. Two at once do no harm."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wait", type=float, default=60.0, help="Seconds to wait for a database that does not answer yet (60)."
        )
        parser.add_argument(
            "--turn", type=float, default=900.0, help="Seconds to wait for another one that migrates (900)."
        )

    def handle(self, **options: Any) -> None:
        from vibex import bootstrap

        with faults_told():
            _wait_for_database(options["wait"])
            with _alone(options["turn"]):
                bootstrap.tables_prepare()
        self.stdout.write("The tables are of the present version.")


def _wait_for_database(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while True:
        try:
            connection.ensure_connection()
        except OperationalError:
            if time.monotonic() >= ends:
                raise
            time.sleep(APART)
        else:
            return


@contextmanager
def _alone(seconds: float) -> Iterator[None]:
    """Hold the one right to migrate. Raises Rejected when another one has not let go of it after `seconds`."""
    if connection.vendor != "postgresql":
        with serve.only_process(settings.VIBEX_DATA_DIR):
            yield
        return
    # A connection of its own: the lock belongs to the session, and goes with it however we end.
    other = connection.copy()
    try:
        _take_turn(other, time.monotonic() + seconds)
        yield
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
    finally:
        other.close()


def _take_turn(other: Any, ends: float) -> None:
    """Ask for the lock again and again: a statement that waits would be ended by the limit on statements."""
    with other.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
            if cursor.fetchone()[0]:
                return
            if time.monotonic() >= ends:
                raise Rejected("Another process migrates this database and does not come to an end; look at its log.")
            time.sleep(APART)
