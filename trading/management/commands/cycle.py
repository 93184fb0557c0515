"""`manage.py cycle BOT`: run one cycle now and say what was seen, decided, ruled and done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from trading.management.bots import bot_found
from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = "Run one cycle of a bot now and print what was seen, decided, ruled and done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bot", help="Id, name, or <account>/<name> of the bot.")
        parser.add_argument("--json", action="store_true", help="Print it as JSON.")

    def handle(self, **options: Any) -> None:
        from marketdata.services import feed_catch_up
        from trading.services.cycle_view import cycle_view
        from trading.services.live import cycle_run_now

        with faults_told():
            bot = bot_found(options["bot"])
            feed_catch_up(venue=bot.account.market)
            run = cycle_run_now(bot=bot)
        if run.result is None:
            raise CommandError(f"the cycle did not run to its end ({run.status}): {run.text}")
        view = cycle_view(run)
        self.stdout.write(json.dumps(view, indent=1) if options["json"] else "\n".join(_lines(view)))


def _lines(view: dict[str, Any]) -> Iterator[str]:
    yield f"{view['bot']} asks {view['decider']} at {view['at']} (cycle {view['cycle']})"
    for symbol, seen in view["seen"].items():
        yield f"  saw     {symbol} at {seen['last']}" + (f": {seen['problem']}" if seen["problem"] else "")
    yield f"  equity  {view['equity']}, {len(view['positions'])} open"
    yield f"  reply   {view['reading']['outcome']}" + (
        f": {view['reading']['reason']}" if view["reading"]["reason"] else ""
    )
    yield from (f"  held    {symbol} by the gate: {code}" for symbol, code in view["reading"]["held"].items())
    for ruling in view["rulings"]:
        rules = f" by {', '.join(ruling['rules'])}" if ruling["rules"] else ""
        yield f"  ruled   {ruling['action']} {ruling['symbol']}: {ruling['verdict']}{rules}"
    for deed in view["done"]:
        yield f"  did     {deed['action']} {deed['symbol']}: {deed['text']}"
    if not view["done"]:
        yield "  did     nothing"
    yield f"  took    {sum(view['timings'].values()):.1f} ms"
