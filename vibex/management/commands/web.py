"""`manage.py web`: pages, API and streams alone, in several processes behind one socket. Others run market and tasks."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from vibex import crew, serve
from vibex.lib.alive import end_when_stuck
from vibex.lib.commands import faults_told
from vibex.lib.connections import AWAY
from vibex.lib.errors import Rejected

CUT_OFF: Final = 1


class Command(BaseCommand):
    help = "Serve pages, API and streams in WEB_PROCESSES processes. For installations of several processes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.API_HOST, help="Address to listen on (API_HOST).")
        parser.add_argument("--port", type=int, default=settings.API_PORT, help="Port to listen on (API_PORT).")
        parser.add_argument(
            "--processes", type=int, default=settings.WEB_PROCESSES, help="How many serve (WEB_PROCESSES)."
        )
        parser.add_argument(crew.SOCKET, type=int, help=argparse.SUPPRESS)
        parser.add_argument(crew.LIFELINE, type=int, help=argparse.SUPPRESS)

    def handle(self, **options: Any) -> None:
        if options["socket"] is not None:
            self._serve(options["socket"], options["lifeline"])
            return
        with faults_told():
            self._become_crew(options["host"], options["port"], options["processes"])

    def _become_crew(self, host: str, port: int, processes: int) -> None:
        """Look at everything that would keep each of them from starting, then let this process watch over them."""
        if processes < 1:
            raise Rejected(f"--processes {processes} serve nobody: say 1 or more.")
        if not settings.REDIS_URL:
            raise Rejected(
                "REDIS_URL is not set: processes of one installation hear of each other over Redis. "
                "For everything in one process: manage.py up"
            )
        serve.static_files_check()
        _tables_check()
        serve.port_check(host, port)
        listening = crew.open_socket(host, port)
        shown = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - only compared
        self.stdout.write(f"Pages are served at http://{shown}:{port}/ by {processes} processes. Ctrl-C stops them.")
        self.stdout.flush()
        member = [sys.executable, sys.argv[0], "web"]
        watch = [sys.executable, "-m", "vibex.crew", str(processes), str(listening.fileno()), *member]
        os.execv(sys.executable, watch)  # noqa: S606 - our own module

    def _serve(self, descriptor: int, lifeline: int) -> None:
        from vibex import bootstrap

        crew.end_with(lifeline)
        end_when_stuck("web")
        if not serve.run_on(descriptor, [bootstrap.jobs(), serve.LoopSeen()]):
            serve.leave(CUT_OFF)


def _tables_check() -> None:
    """Raise Rejected while tables are missing or of another version. A database that is away now may come back later."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise Rejected("The tables are not there, or of another version: run `manage.py migrate_once` first.")
    except AWAY:
        return
    finally:
        connection.close()
