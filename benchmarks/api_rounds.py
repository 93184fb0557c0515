"""Lists, balance and performance over the API with a hundred thousand rows behind each. Prints JSON.

A process of its own for each database: `benchmarks.api` starts it. With `serve` in front it fills the database, makes a key
and tells it: what is asked through a web server then is asked of these rows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from statistics import median
from typing import Any, Final

from benchmarks.timing import Speed, percentile

WARM, ROUNDS = 4, 60
SINGLE: Final = (
    "balance/",
    "accounts/1/balance/",
    "performance/",
    "accounts/1/performance/",
    "accounts/1/performance/?by=day",
    "bots/1/performance/",
)
"""Not of fifty rows; each within ten milliseconds."""


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from benchmarks.api_rows import ROWS, filled

    call_command("migrate", verbosity=0)
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    person = filled(rows)
    found = {"vendor": connection.vendor, "key": key_of(person), "rows": rows, "paths": measured(person)}
    print(json.dumps(found), file=sys.stdout)


def key_of(person: Any) -> str:
    from accounts.services.api_keys import api_key_create

    _, key = api_key_create(user=person, name="bench", scopes=["read"], expires=None, actor=person)
    return key


def measured(person: Any) -> dict[str, dict[str, Any]]:
    """Return queries, seconds (median and the 95th of a hundred, at full speed) and bytes of each address; what it is refused with, else."""
    from django.test import Client

    from vibex.serve import spare_the_start

    spare_the_start()  # as the web process does
    speed = Speed()
    client = Client(SERVER_NAME="localhost", headers={"authorization": f"Api-Key {key_of_bench(person)}"})
    return {path: one(client, person, path, speed) for path in (*lists(), *SINGLE)}


def key_of_bench(person: Any) -> str:
    from accounts.services.api_keys import api_key_create

    return api_key_create(user=person, name="rounds", scopes=["read"], expires=None, actor=person)[1]


def one(client: Any, person: Any, path: str, speed: Speed) -> dict[str, Any]:
    answer = client.get(f"/api/v1/{path}")
    if answer.status_code != 200:
        return {"status": answer.status_code}
    for _ in range(WARM):
        answer = client.get(f"/api/v1/{path}")
    took = speed.rounds(lambda: client.get(f"/api/v1/{path}"), ROUNDS)
    full, busy = [one.at_full_speed for one in took], [one.busy for one in took]
    body = answer.json()
    shown = len(body["results"]) if isinstance(body, dict) and "results" in body else None
    told = {"median": median(full), "p95": percentile(full, 0.95), "busy": median(busy)}
    told["wall"] = median(one.wall for one in took)
    return {"status": 200, "queries": queries(person, path), "bytes": len(answer.content), "shown": shown, **told}


def queries(person: Any, path: str) -> int:
    """Return how many queries an address takes besides authentication."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from rest_framework.test import APIClient

    client = APIClient(SERVER_NAME="localhost")
    client.force_authenticate(person)
    with CaptureQueriesContext(connection) as taken:
        client.get(f"/api/v1/{path}")
    return len(taken)


def lists() -> Iterator[str]:
    """Yield the addresses of all lists, found by walking the routes."""
    from django.urls import get_resolver, reverse

    from accounts.access.views import Rows

    for name, route, keys in walked(get_resolver()):
        kind = getattr(route.callback, "cls", None)
        if isinstance(kind, type) and issubclass(kind, Rows) and route.callback.actions.get("get") == "list":
            path = reverse(name, kwargs=dict.fromkeys(keys, 1)).removeprefix("/api/v1/")
            if path not in SINGLE:
                yield path


def walked(
    urls: Any, namespace: str = "", keys: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Any, frozenset[str]]]:
    """Yield every address with a name, with the names of what stands in it."""
    for each in urls.url_patterns:
        inside = keys | each.pattern.converters.keys()
        if hasattr(each, "url_patterns"):
            yield from walked(each, f"{namespace}{each.namespace}:" if each.namespace else namespace, inside)
        elif each.name:
            yield f"{namespace}{each.name}", each, inside


if __name__ == "__main__":
    main()
