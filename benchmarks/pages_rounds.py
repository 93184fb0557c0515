"""Pages of a person with a hundred accounts, each with a bot, and a million candles behind them. Prints JSON.

A process of its own for each database: `benchmarks.pages` starts it.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from statistics import median
from typing import Any, Final

from benchmarks.timing import Speed, percentile

ACCOUNTS: Final = 100
CANDLE_DAYS: Final = 116
"""Of six symbols at one minute: a million candles."""
WARM, ROUNDS = 3, 30

PAGES: Final = (
    "/",
    "/arena/",
    "/operations/",
    "/accounts/1/",
    "/accounts/1/live/",
    "/accounts/1/market/?interval=15m",
    "/accounts/1/market/figure/?symbol=BTCUSDT&interval=15m",
    "/accounts/1/equity/",
    "/accounts/1/diary/",
    "/accounts/1/books/",
    "/bots/1/",
    "/cycles/1/",
    "/prompts/",
    "/alerts/",
    "/approvals/",
    "/halt/",
    "/profile/",
    "/admin/",
    "/admin/accounts/account/",
    "/admin/accounts/account/1/change/",
    "/admin/accounts/bot/",
    "/admin/trading/position/",
    "/admin/trading/order/",
    "/admin/decisions/interaction/",
)


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from benchmarks.still_market import StillMarket

    call_command("migrate", verbosity=0)
    StillMarket().advance(timedelta(days=CANDLE_DAYS))
    person = filled_with_running_bots(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    print(json.dumps({"vendor": connection.vendor, "pages": measured(person)}), file=sys.stdout)


def filled_with_running_bots(rows: int) -> Any:
    from accounts.models import Bot
    from benchmarks.api_rows import filled
    from benchmarks.still_market import VENUE

    person = filled(rows, ACCOUNTS + 1, VENUE)
    Bot.objects.update(status=Bot.Status.RUNNING)
    person.is_staff = person.is_superuser = True
    person.save()
    return person


def measured(person: Any) -> dict[str, dict[str, Any]]:
    from django.test import Client

    from vibex.serve import spare_the_start

    client = Client(SERVER_NAME="localhost")
    client.force_login(person)
    spare_the_start()  # as the web process does
    speed = Speed()
    return {path: one(client, path, speed) for path in PAGES}


def one(client: Any, path: str, speed: Speed) -> dict[str, Any]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _ in range(WARM):
        answer = client.get(path)
    with CaptureQueriesContext(connection) as taken:
        answer = client.get(path)
    queries = len(taken)  # before another request forgets them
    took = speed.rounds(lambda: client.get(path), ROUNDS)
    full = [each.at_full_speed for each in took]
    told = {"median": median(full), "p95": percentile(full, 0.95), "wall": median(each.wall for each in took)}
    return {"status": answer.status_code, "queries": queries, "bytes": len(answer.content), **told}


if __name__ == "__main__":
    main()
