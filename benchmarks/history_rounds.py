"""Pages and lists over a made history of the scale that is named. Prints JSON.

A process of its own for each size: `benchmarks.history` starts it. A history that is there already is not made again.
"""

from __future__ import annotations

import json
import sys
from statistics import median
from typing import Any, Final

from benchmarks.timing import Speed, percentile

WARM, ROUNDS = 2, 25
PAGES: Final = (
    "/",
    "/arena/",
    "/operations/",
    "/accounts/{account}/",
    "/accounts/{account}/live/",
    "/accounts/{account}/market/?interval=15m",
    "/accounts/{account}/market/figure/?symbol=BTCUSDT&interval=15m",
    "/accounts/{account}/equity/",
    "/accounts/{account}/diary/",
    "/accounts/{account}/books/",
    "/bots/{bot}/",
    "/cycles/{cycle}/",
    "/admin/trading/order/",
    "/admin/trading/position/",
    "/admin/decisions/interaction/",
)
LISTS: Final = ("cycles", "decisions", "interactions", "diary", "orders", "positions", "incidents")
"""Below /api/v1/; of all accounts, of one, and far down."""


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from trading.services.history.plan import Plan

    scale = float(sys.argv[1])
    call_command("migrate", verbosity=0)
    call_command("make_history", scale=scale, stdout=sys.stderr)
    plan = Plan.of(scale, 7)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        gigabytes = cursor.fetchone()[0] / 1e9
    told = {"scale": scale, "accounts": plan.accounts, "rows": sum(plan.rows.values()), "gigabytes": gigabytes}
    print(json.dumps(told | {"paths": measured()}), file=sys.stdout)


def measured() -> dict[str, dict[str, Any]]:
    from django.test import Client

    from accounts.models import User
    from trading.services.history.make import OWNER
    from vibex.serve import spare_the_start

    person = User.objects.get(email=OWNER)
    person.is_staff = person.is_superuser = True
    person.save()
    client = Client(SERVER_NAME="localhost")
    client.force_login(person)
    spare_the_start()  # as the web process does
    speed = Speed()
    return {name: one(client, path, speed) for name, path in addresses(client).items()}


def addresses(client: Any) -> dict[str, str]:
    """Return what is asked for by a name that is the same at every size. A list is followed to its third page."""
    from decisions.models import Cycle

    cycle = Cycle.objects.latest("pk")
    keys = {"account": cycle.account_id, "bot": cycle.bot_id, "cycle": cycle.pk}
    found = {page.format(**dict.fromkeys(keys, "…")): page.format(**keys) for page in PAGES}
    for name in LISTS:
        path = f"/api/v1/{name}/"
        if client.get(path).status_code == 404:
            path = f"/api/v1/accounts/{keys['account']}/{name}/"
        found[path.replace(f"/{keys['account']}/", "/…/")] = path
        following = client.get(path).json().get("next")
        third = client.get(following).json().get("next") if following else None
        if third:
            found[f"/api/v1/{name}/, third page"] = third
    return found


def one(client: Any, path: str, speed: Speed) -> dict[str, Any]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _ in range(WARM):
        answer = client.get(path)
    with CaptureQueriesContext(connection) as taken:
        answer = client.get(path)
    queries = len(taken)  # before another request forgets them
    full = [each.at_full_speed for each in speed.rounds(lambda: client.get(path), ROUNDS)]
    told = {"median": median(full), "p95": percentile(full, 0.95)}
    return {"status": answer.status_code, "queries": queries, "bytes": len(answer.content), **told}


if __name__ == "__main__":
    main()
