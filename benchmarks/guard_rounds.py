"""Guard passes over many paper accounts, on the database that the environment names. Prints JSON.

A process of its own for each database and size: `benchmarks.guard` starts it. One account opens its positions as a cycle does and
is looked at until it is fine; all others are copies of it, row by row.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any

ROUNDS, LOOKS = 7, 20
STEP = timedelta(seconds=30)
AT_REST = 1e-9
"""Market seconds in a second: the market counts as running, and moves only when it is told to."""


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    accounts, positions = int(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({"vendor": connection.vendor, **measured(accounts, positions)}), file=sys.stdout)


def measured(accounts: int, positions: int) -> dict[str, float]:
    """Return seconds of a pass and of a full look, and the statements of a pass, over accounts with so many positions."""
    from django.db import connection, transaction

    from accounts.models import Account
    from benchmarks.still_market import PRICES, VENUE, StillMarket
    from marketdata.models import Feed
    from trading.services.guard import guard_run
    from trading.services.guard_pass import guard_pass

    market = StillMarket()
    Feed.objects.filter(venue=VENUE).update(running=True, speed=AT_REST)
    first = opened(tuple(PRICES)[:positions])
    with transaction.atomic():
        for number in range(1, accounts):
            copy(first, f"bench{number}")
    ids = list(Account.objects.values_list("pk", flat=True))
    times, busy, statements = [], [], []
    for _ in range(ROUNDS):
        market.advance(STEP)
        turns_put_off()
        began = time.process_time()
        with Counted(connection) as counted:
            passed = guard_pass()
        busy.append(time.process_time() - began)
        if passed.doubts or len(passed.fine) != accounts:
            raise RuntimeError(
                f"{len(passed.fine)} of {accounts} are fine, in doubt: {list(passed.doubts.items())[:3]}"
            )
        times.append(passed.seconds)
        statements.append(counted.number)
    looks = [timed(partial(guard_run, account_id=account_id)) for account_id in ids[:LOOKS]]
    return {"pass": median(times), "busy": median(busy), "statements": max(statements), "look": median(looks)}


def opened(symbols: tuple[str, ...]) -> Any:
    """Return an account with a protected position in each symbol, which a pass finds to be fine."""
    from accounts.models import Account
    from accounts.services import account_create, user_create
    from benchmarks.still_market import VENUE
    from trading.services.guard import guard_run
    from trading.tests.guard_kit import open_position

    owner = user_create(email="bench@example.com", password="a password of a benchmark")
    account = Account.objects.select_related("limits").get(pk=account_create(owner=owner, name="bench", venue=VENUE).pk)
    for symbol in symbols:
        open_position(account, symbol)
    for _ in range(2):
        guard_run(account_id=account.pk)
    return account


def copy(first: Any, name: str) -> None:
    """Make an account that stands in every table as the first one does. Only names and client ids are its own."""
    from accounts.models import Account, RiskLimits
    from trading.models import (
        EquityPoint,
        Fill,
        GuardState,
        IncomeEntry,
        LossWatch,
        Order,
        PaperAccount,
        PaperIncome,
        PaperOrder,
        PaperPosition,
        PaperTrade,
        Position,
    )  # fmt: skip

    account = again(Account.objects.filter(pk=first.pk), name=name)[first.pk]
    suffix = name.removeprefix("bench")
    tables: tuple[Any, ...] = (RiskLimits, GuardState, LossWatch, EquityPoint, IncomeEntry)
    for table in tables:
        again(table.objects.filter(account=first), account_id=account)
    places = again(Position.objects.filter(account=first), account_id=account)
    theirs: dict[str, Any] = {
        "account_id": account,
        "position_id": places.get,
        "client_order_id": lambda key: key + suffix,
    }
    orders = again(Order.objects.filter(account=first), **theirs)
    again(Fill.objects.filter(account=first), account_id=account, position_id=places.get, order_id=orders.get)
    paper = first.paper.pk
    venue = again(PaperAccount.objects.filter(pk=paper), account_id=account)[paper]
    again(PaperPosition.objects.filter(paper_id=paper), paper_id=venue)
    again(PaperIncome.objects.filter(paper_id=paper), paper_id=venue)
    again(PaperOrder.objects.filter(paper_id=paper), paper_id=venue, client_order_id=theirs["client_order_id"])
    again(PaperTrade.objects.filter(paper_id=paper), paper_id=venue, client_order_id=theirs["client_order_id"])


def again(rows: Iterable[Any], **changes: Any) -> dict[int, int]:
    """Store rows a second time with these values in their columns, and return their new keys by the old ones.

    A change that can be called is given the old value.
    """
    found = list(rows)
    old = [row.pk for row in found]
    for row in found:
        row.pk, row._state.adding = None, True
        for column, change in changes.items():
            setattr(row, column, change(getattr(row, column)) if callable(change) else change)
    made = type(found[0]).objects.bulk_create(found) if found else []
    return dict(zip(old, (row.pk for row in made), strict=True))


def turns_put_off() -> None:
    """Let every account have been looked at just now, so that a pass finds nobody whose turn has come."""
    from django.utils import timezone

    from trading.models import GuardState

    GuardState.objects.update(full_at=timezone.now())


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


class Counted:
    """Counts the statements that are sent."""

    def __init__(self, connection: Any) -> None:
        self._counting = connection.execute_wrapper(self._count)
        self.number = 0

    def __enter__(self) -> Counted:
        self._counting.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._counting.__exit__(*error)

    def _count(self, execute: Any, *rest: Any) -> Any:
        self.number += 1
        return execute(*rest)


if __name__ == "__main__":
    main()
