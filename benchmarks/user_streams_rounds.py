"""Listen to many live accounts: `python -m benchmarks.user_streams_rounds ACCOUNTS`, in an installation of its own. Prints JSON.

The exchange is a process beside it, so that what is measured here is what listening takes. Deposits, and orders by hand,
are the events: a deposit has the account looked at, an order of somebody else is only applied.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import cycle, islice
from statistics import median
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks import house
from vibex.lib.env import ROOT

SYMBOL = "BTCUSDT"
WEIGHT = 1_000_000
"""Of the exchange a minute: as much as the looks may need."""
PATIENCE = 1_800.0
PACE = 1 / 20
"""Seconds between two events."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """How long is listened while nothing happens, and how much happens."""

    idle: float = 60.0
    windows: int = 3
    events: int = 200
    looks: int = 60
    """Of as many accounts: those that one asks for twice in a row may be one."""


def main() -> None:
    import django

    with exchange() as venue:
        django.setup()
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connection

        settings.ASTERDEX_TESTNET_REST_URL = venue.rest
        settings.ASTERDEX_TESTNET_STREAM_URL = venue.rest.replace("http", "ws", 1)
        call_command("migrate", verbosity=0)
        users = live_accounts(venue, int(sys.argv[1]))
        print(json.dumps({"vendor": connection.vendor, **measured(venue, users, Rounds())}), file=sys.stdout)


def measured(venue: Venue, users: dict[int, str], rounds: Rounds) -> dict[str, float]:
    """Listen to accounts, given as their users at the exchange by id, and return what it took."""
    from django.db import connections

    from trading.services import user_streams

    counted = Counts()
    process, began, busy = psutil.Process(), time.monotonic(), time.process_time()
    streams = user_streams.UserStreams(look=counted.look)
    streams.start()
    until(lambda: len(streams.listening()) == len(users) and counted.looked >= users.keys())
    started, starting = time.monotonic() - began, time.process_time() - busy
    time.sleep(user_streams.NOTE_SECONDS)  # what was stored late, and connections that are kept for a while
    connections.close_all()
    idle, statements = [], []
    for _ in range(rounds.windows):
        before = counted.sent, time.process_time()
        time.sleep(rounds.idle / rounds.windows)
        after = counted.sent, time.process_time()
        statements.append((after[0] - before[0]) * rounds.windows * 60 / rounds.idle)
        idle.append((after[1] - before[1]) * rounds.windows * 60 / rounds.idle)
    rest = median(idle) / 60
    names = list(users.values())
    event = cost(
        list(islice(cycle(names), rounds.events)),
        lambda user: venue.ask("order", user=user, symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC",
                               price="1000", quantity="0.1"),
        lambda: counted.applied, rest,
    )  # fmt: skip
    look = cost(
        names[: rounds.looks], lambda user: venue.ask("deposit", user=user, amount="1"), lambda: counted.looks, rest
    )
    found = {
        "handles": process.num_fds(),
        "threads": process.num_threads(),
        "megabytes": process.memory_info().rss / 1e6,
    }
    ending = time.monotonic()
    if not streams.stop():
        raise RuntimeError(f"these were left behind: {streams.left_behind()[:5]}")
    stopped = time.monotonic() - ending
    times = {"started": started, "starting": starting, "idle": median(idle), "event": event * 1000, "look": look * 1000}
    return {**found, **times, "statements": median(statements), "stopped": stopped}


def cost(users: list[str], happen: Callable[[str], object], counted: Callable[[], int], rest: float) -> float:
    """Let something happen to each of these and return the seconds of processor time for one, without what rest takes."""
    before, began, busy = counted(), time.monotonic(), time.process_time()
    asking = 0.0
    for user in users:
        ours = time.thread_time()
        happen(user)
        asking += time.thread_time() - ours
        time.sleep(PACE)
    until(lambda: counted() - before >= len(users))
    time.sleep(1)
    taken = time.process_time() - busy - asking - rest * (time.monotonic() - began)
    return max(0.0, taken) / (counted() - before)


class Counts:
    """Counts events, looks and statements on their way."""

    def __init__(self) -> None:
        from django.db.backends.signals import connection_created

        from trading.services.user_streams import look_by_guard

        listener: Any = import_module("trading.services.user_listener")

        self.applied = self.looks = self.sent = 0
        self.looked: set[int] = set()
        self._apply, self._look = listener.venue_event_apply, look_by_guard
        listener.venue_event_apply = self._counted
        connection_created.connect(self._connected)

    def look(self, account_id: int) -> bool:
        settled = bool(self._look(account_id))
        self.looks += 1
        self.looked |= {account_id} if settled else set()
        return settled

    def _connected(self, connection: Any, **_: Any) -> None:
        if self._statement not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._statement)

    def _statement(self, execute: Any, *words: Any) -> Any:
        self.sent += 1
        return execute(*words)

    def _counted(self, **words: Any) -> bool:
        wanted = bool(self._apply(**words))
        self.applied += 1
        return wanted


@dataclass(frozen=True, slots=True)
class Venue:
    """An exchange in a process of its own."""

    rest: str
    certificate: str

    def ask(self, command: str, **given: Any) -> Any:
        """Do something by hand at the exchange. Raises urllib.error.HTTPError where it says no."""
        import ssl

        request = urllib.request.Request(f"{self.rest}/_sim/{command}", json.dumps(given).encode())
        context = ssl.create_default_context(cafile=self.certificate)
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return json.load(answer)


@contextmanager
def exchange() -> Iterator[Venue]:
    """Run an exchange with TLS that this process trusts. Raises RuntimeError when it does not begin."""
    command = house.python(
        "manage.py", "exchange_server", "--port", "0", "--symbols", SYMBOL, "--testnet", "--tls",
        "--weight-limit", str(WEIGHT),
    )  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        told = ""
        for line in process.stdout or ():
            told += line
            if "trust" in line:
                break
        found = re.search(r"REST\s+(https://[^/]+)/.*trust\s+([^,]+),", told, re.DOTALL)
        if found is None:
            raise RuntimeError(f"the exchange did not begin:\n{told}")
        os.environ["SSL_CERT_FILE"] = found[2]
        yield Venue(found[1], found[2])
    finally:
        process.terminate()
        process.wait(timeout=60)


def live_accounts(venue: Venue, number: int) -> dict[int, str]:
    """Make so many live accounts with money at the exchange; return their users there by their ids."""
    from accounts.domain.credentials import AsterV3Keys
    from accounts.models import Account
    from accounts.services import account_create, user_create
    from accounts.services.credentials import credentials_save
    from marketdata.services.live import live_open
    from trading.exchange_server.auth import new_agent

    users: dict[int, str] = {}
    owner = user_create(email="bench@example.com", password="correct horse battery staple")
    for place in range(1, number + 1):
        user, agent = f"0x{place:040x}", new_agent()
        venue.ask("open-account", user=user, agents=[agent.address])
        account = account_create(
            owner=owner, name=f"bench{place}", venue="aster", mode=Account.Mode.LIVE, network=Account.Network.TESTNET
        )
        credentials_save(account=account, keys=AsterV3Keys(user, agent.address, agent.private_key), actor=None)
        users[account.pk] = user
    feed = live_open(venue=Account.objects.all()[0].market, symbols=[SYMBOL], seconds=60)
    if feed.problem:
        raise RuntimeError(feed.problem)
    return users


def until(condition: Callable[[], object]) -> None:
    """Wait until it holds. Raises RuntimeError when it never does."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > ends:
            raise RuntimeError("it did not come to that in half an hour")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
