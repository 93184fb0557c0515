"""Start everything in one process: market, scheduler, worker and web server."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from vibex import reload, serve
from vibex.lib.commands import faults_told

if TYPE_CHECKING:
    from vibex.bootstrap import Demo, Market

STOPPED_EARLY = 130
CUT_OFF = 1


class Command(BaseCommand):
    help = "Start Vibex: the market, the scheduler and the web server, in one process."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.API_HOST, help="Address to listen on (API_HOST).")
        parser.add_argument("--port", type=_port, default=settings.API_PORT, help="Port to listen on (API_PORT).")
        parser.add_argument("--data", type=Path, help="Folder of recorded candles to replay instead of a simulation.")
        parser.add_argument(
            "--speed",
            type=_speed,
            help="Market seconds per second, of a simulated or recorded market. Absent: as before, at first 1 or 60.",
        )
        parser.add_argument(
            "--demo",
            action=argparse.BooleanOptionalAction,
            default=settings.VIBEX_ENV != "prod",
            help="Make a demo operator, account and bot when there is none. In production only when asked for.",
        )
        parser.add_argument("--no-scheduler", action="store_true", help="Only pages: others run market and tasks.")
        parser.add_argument("--reload", action="store_true", help="Start anew when code changes.")
        parser.add_argument(reload.CHILD, action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["reload"]:
            sys.exit(reload.run_again_on_change(self.stdout.write))
        if options["reloaded"]:
            reload.templates_uncached()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the server has handlers of its own
        try:
            with faults_told(), ExitStack() as held:
                self._run(held, options)
        except KeyboardInterrupt:
            self.stderr.write("Stopped before it was up.")
            sys.exit(STOPPED_EARLY)

    def _run(self, held: ExitStack, options: dict[str, Any]) -> None:
        from vibex import bootstrap

        host, port, alone = options["host"], options["port"], not options["no_scheduler"]
        if alone:
            held.enter_context(serve.only_process(settings.VIBEX_DATA_DIR))
        serve.port_check(host, port)
        serve.static_files_check()
        # All tables that ever were take 50 MB, and the hash of a password 100 MB: no part of what runs from now on.
        serve.apart(bootstrap.tables_prepare)
        market, demo = serve.apart(
            bootstrap.prepare, options["data"], options["speed"], run=alone, demo=options["demo"]
        )
        self._tell(host, port, market, demo)
        parts: list[serve.Part] = []
        if alone:
            parts = [bootstrap.feed_runner(market), bootstrap.scheduler(), bootstrap.user_streams()]
        parts.append(bootstrap.jobs())
        if not serve.run(host, port, parts):
            self.stderr.write(
                "Something was still at work and was cut off; the next start asks the exchange what became of it."
            )
            serve.leave(CUT_OFF)
        self.stdout.write("Stopped.")

    def _tell(self, host: str, port: int, market: Market, demo: Demo | None) -> None:
        """Print the one block that a person needs, the password in the only run that knows it."""
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only compared
        lines = [("Open", f"http://{shown}:{port}/"), ("Market", market.description)]
        if demo is None:
            lines.append(("Operator", "make one, or another one, with: manage.py createsuperuser"))
        else:
            lines += [
                ("Decider", _who_decides(demo.bot.model)),
                ("Bot", f"{demo.bot}, {demo.bot.status}: {', '.join(demo.bot.symbols)} every {demo.bot.interval}"),
                ("Operator", demo.operator),
                ("Password", demo.password or "shown at the first start; a new one: manage.py changepassword"),
            ]
        block = "\n".join(f"  {name + ':':<10} {text}" for name, text in lines)
        self.stdout.write(f"\nVibex is up.\n\n{block}\n\nCtrl-C stops it; the next start goes on where it was.\n")
        self.stdout.flush()


def _who_decides(model: str) -> str:
    return f"{model} (rules, no model is asked)" if model.startswith("rules/") else f"{model} (a language model)"


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: use a number from 1 to 65535, for example 3000")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0.001 <= speed <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed: use a number from 0.001 to 100000, for example 60")
    return speed
