"""Guard passes over more and more accounts, on the database that the environment names. Prints JSON.

A process of its own for each database: `benchmarks.guard` starts it. One account opens its position as a cycle does and is
looked at until it is fine; all others are copies of it, row by row. Then the copies are made live, and heard.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any

ROUNDS, LOOKS = 7, 20
STEP = timedelta(seconds=30)
ITS_TURN = "its turn has come"
AT_REST = 1e-9
"""Market seconds in a second: the market counts as running, and moves only when it is told to."""


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    sizes = [int(argument) for argument in sys.argv[1:]]
    print(json.dumps({"vendor": connection.vendor, **measured(sizes)}), file=sys.stdout)


def measured(sizes: Sequence[int], *, rounds: int = ROUNDS, looks: int = LOOKS) -> dict[str, Any]:
    """Return what passes over so many accounts took, on paper and live, and seconds of a full look at one on paper."""
    from accounts.models import Account
    from benchmarks.still_market import PRICES, VENUE, StillMarket
    from marketdata.models import Feed
    from trading.services.guard import guard_run

    market = StillMarket()
    Feed.objects.filter(venue=VENUE).update(running=True, speed=AT_REST)
    first = opened(next(iter(PRICES)))
    passes: list[dict[str, Any]] = []
    for size in sizes:
        copies_make(first, range(Account.objects.count(), size))
        for kind, turned in (("paper", on_paper), ("live", live)):
            turned(first)
            passes.append({"kind": kind, "accounts": size, **passed(market, size, rounds)})
    on_paper(first)
    took = [timed(partial(guard_run, account_id=pk)) for pk in Account.objects.values_list("pk", flat=True)[:looks]]
    return {"passes": passes, "look": median(took)}


def passed(market: Any, accounts: int, rounds: int) -> dict[str, float]:
    """Return what one of several passes took that find all accounts fine. Raises RuntimeError where one is not.

    The turn of some comes between two statements, all the same: each second is that of a few in a thousand.
    """
    from django.db import connection

    from trading.services.guard_pass import guard_pass

    times, busy, statements = [], [], []
    for _ in range(rounds):
        market.advance(STEP)
        seen_just_now()
        began = time.process_time()
        with Counted(connection) as counted:
            found = guard_pass()
        busy.append(time.process_time() - began)
        doubts = {pk: texts for pk, texts in found.doubts.items() if texts != (ITS_TURN,)}
        if doubts or len(found.fine) < 0.95 * accounts:
            raise RuntimeError(f"{len(found.fine)} of {accounts} are fine, in doubt: {list(doubts.items())[:3]}")
        times.append(found.seconds)
        statements.append(counted.number)
    return {"pass": median(times), "fastest": min(times), "busy": median(busy), "statements": max(statements)}


def opened(symbol: str) -> Any:
    """Return an account with a protected position, which a pass finds to be fine."""
    from accounts.models import Account
    from accounts.services import account_create, user_create
    from benchmarks.still_market import VENUE
    from trading.services.guard import guard_run
    from trading.tests.guard_kit import open_position

    owner = user_create(email="bench@example.com", password="a password of a benchmark")
    account = Account.objects.select_related("limits").get(pk=account_create(owner=owner, name="bench", venue=VENUE).pk)
    open_position(account, symbol)
    for _ in range(2):
        guard_run(account_id=account.pk)
    return account


def on_paper(first: Any) -> None:
    """Let all accounts be on paper."""
    from accounts.models import Account

    Account.objects.exclude(pk=first.pk).update(mode=Account.Mode.PAPER, promoted_from=None)


def live(first: Any) -> None:
    """Let all accounts but the first be live, at a venue that tells what happens and that was caught up with."""
    from django.utils import timezone

    from accounts.models import Account
    from trading.models import UserStreamState

    copies = Account.objects.exclude(pk=first.pk)
    copies.update(mode=Account.Mode.LIVE, promoted_from=first)
    now = timezone.now()
    heard = {"connected_at": now, "heard_at": now, "caught_up_at": now}
    UserStreamState.objects.all().delete()
    UserStreamState.objects.bulk_create(UserStreamState(account=account, **heard) for account in copies)


def copies_make(first: Any, numbers: Iterable[int]) -> None:
    """Make accounts that stand in every table as the first one does. Only names and client ids are their own."""
    from django.db import transaction

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

    of_account: tuple[Any, ...] = (RiskLimits, GuardState, LossWatch, EquityPoint, IncomeEntry, Position, PaperAccount)
    of_paper: tuple[Any, ...] = (PaperPosition, PaperIncome, PaperOrder, PaperTrade)
    with transaction.atomic():
        again = Again(numbers)
        again(Account.objects.filter(pk=first.pk), name=numbered)
        for table in of_account:
            again(table.objects.filter(account=first), account_id=again.of(Account))
        belongs = {"account_id": again.of(Account), "position_id": again.of(Position)}
        again(Order.objects.filter(account=first), **belongs, client_order_id=numbered)
        again(Fill.objects.filter(account=first), **belongs, order_id=again.of(Order))
        for table in of_paper:
            again(table.objects.filter(paper=first.paper), paper_id=again.of(PaperAccount), client_order_id=numbered)


type Change = Callable[[Any, int], Any]
"""Makes the value of a column in a copy of this number out of the first one's."""


def numbered(name: str, number: int) -> str:
    return f"{name}{number}"


class Again:
    """Stores rows again, once for each number, and knows which copy of a row belongs to which number.

    A change of a column that a table does not have is left out.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = list(numbers)
        self._keys: dict[type, dict[tuple[Any, int], Any]] = {}

    def __call__(self, rows: Any, **changes: Change) -> None:
        copies = [(row.pk, number, _copy(row, number, changes)) for row in rows for number in self._numbers]
        made = rows.model.objects.bulk_create([copy for _, _, copy in copies])
        self._keys[rows.model] = {(old, number): copy.pk for (old, number, _), copy in zip(copies, made, strict=True)}

    def of(self, table: type) -> Change:
        """Return the change that names the copy of the same number in another table."""
        return lambda old, number: self._keys[table].get((old, number))


def _copy(row: Any, number: int, changes: dict[str, Change]) -> Any:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    values |= {name: change(values[name], number) for name, change in changes.items() if name in values}
    if row._meta.auto_field is not None:
        del values[row._meta.pk.attname]
    return type(row)(**values)


def seen_just_now() -> None:
    """Let every account have been looked at and heard just now, so that a pass finds hardly anybody whose turn has come."""
    from django.utils import timezone

    from trading.models import GuardState, UserStreamState

    GuardState.objects.update(full_at=timezone.now())
    UserStreamState.objects.update(heard_at=timezone.now())


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
