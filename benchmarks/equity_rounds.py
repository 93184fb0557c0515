"""Draw a year of equity small, on the database that the environment names. Prints JSON.

A process of its own for each database: `benchmarks.equity_series` starts it.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from statistics import median

POINTS, ROUNDS = 525_600, 15


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    points = int(sys.argv[1]) if len(sys.argv) > 1 else POINTS
    print(json.dumps({"vendor": connection.vendor, "points": points, "times": times(points)}), file=sys.stdout)


def times(points: int) -> dict[str, float]:
    """Return seconds at full speed for each span, and of reading all on the clock."""
    from datetime import timedelta

    from accounts.models import User
    from accounts.services import account_create
    from benchmarks.api_rows import BEGIN, equity_year
    from benchmarks.timing import Speed
    from trading.selectors import equity_series as series

    account = account_create(owner=User.objects.create_user("bench@example.com"), name="bench", venue="sim").pk
    equity_year(account, points)
    last = BEGIN + timedelta(minutes=points)
    spans = {"a day": 1, "a week": 7, "a month": 30}
    calls = {
        name: partial(series.equity_series, account, since=last - timedelta(days=days)) for name, days in spans.items()
    }
    calls["all of it"] = partial(series.equity_series, account)
    speed = Speed()
    found = {name: median(took.at_full_speed for took in speed.rounds(call, ROUNDS)) for name, call in calls.items()}
    most, series.MOST_RAW = series.MOST_RAW, points  # type: ignore[misc]
    began = time.perf_counter()
    series.equity_series(account)
    found["reading all"] = time.perf_counter() - began
    series.MOST_RAW = most  # type: ignore[misc]
    return found


if __name__ == "__main__":
    main()
