"""`manage.py cycle BOT`: run one cycle now and say what was seen, decided, ruled and done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Bot
from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = "Run one cycle of a bot now and print what was seen, decided, ruled and done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bot", help="Id or name of the bot.")
        parser.add_argument("--json", action="store_true", help="Print it as JSON.")

    def handle(self, **options: Any) -> None:
        from marketdata.services import feed_catch_up
        from trading.services.cycle_view import cycle_view
        from trading.services.live import cycle_run_now

        with faults_told():
            bot = _find(options["bot"])
            feed_catch_up(venue=bot.account.market)
            run = cycle_run_now(bot=bot)
        if run.result is None:
            raise CommandError(f"the cycle did not run to its end ({run.status}): {run.text}")
        view = cycle_view(run)
        self.stdout.write(json.dumps(view, indent=1) if options["json"] else "\n".join(_lines(view)))


def _find(name: str) -> Bot:
    bots = Bot.objects.select_related("account")
    found = list(bots.filter(pk=int(name)) if name.isdecimal() else bots.filter(name=name))
    if not found:
        known = ", ".join(f"{bot.pk} ({bot.name})" for bot in bots) or "none: `manage.py up` makes the first one"
        raise CommandError(f"there is no bot {name!r}; there are: {known}")
    if len(found) > 1:
        raise CommandError(f"several bots are called {name!r}: use an id, {', '.join(str(bot.pk) for bot in found)}")
    return found[0]


def _lines(view: dict[str, Any]) -> Iterator[str]:
    yield f"{view['bot']} asks {view['decider']} at {view['at']} (cycle {view['cycle']})"
    for symbol, seen in view["seen"].items():
        yield f"  saw     {symbol} at {seen['last']}" + (f": {seen['problem']}" if seen["problem"] else "")
    yield f"  equity  {view['equity']}, {len(view['positions'])} open"
    yield f"  reply   {view['reading']['outcome']}" + (
        f": {view['reading']['reason']}" if view["reading"]["reason"] else ""
    )
    for ruling in view["rulings"]:
        rules = f" by {', '.join(ruling['rules'])}" if ruling["rules"] else ""
        yield f"  ruled   {ruling['action']} {ruling['symbol']}: {ruling['verdict']}{rules}"
    for deed in view["done"]:
        yield f"  did     {deed['action']} {deed['symbol']}: {deed['text']}"
    if not view["done"]:
        yield "  did     nothing"
    yield f"  took    {sum(view['timings'].values()):.1f} ms"
