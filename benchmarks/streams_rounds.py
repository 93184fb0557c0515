"""The clients' side of the streams' benchmark: `python -m benchmarks.streams_rounds CLIENTS`, in an installation of its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import house
from benchmarks.streams_clients import Client, Heard, connect_all
from benchmarks.timing import percentile
from vibex.lib.env import ROOT

PEOPLE = 50
"""Who share the connections: rights are read once for each."""
NOBODYS = 10**12
"""Above it there is no account."""


@dataclass(frozen=True)
class Rounds:
    """How many events happen: one by one, many at once, and while everybody is away."""

    single: int = 40
    every: float = 0.25
    """Seconds."""
    burst: int = 200
    per_second: int = 20
    missed: int = 10

    @property
    def events(self) -> int:
        return self.single + self.burst + self.missed


@dataclass(frozen=True)
class Unwatched:
    """Events of bots that nobody watches: as many of few bots as of many."""

    bots: tuple[int, ...] = (10, 100, 1_000)
    events: int = 10_000
    together: int = 100
    """Published at once, before the server gets time to read them: it must lose none."""
    clients: int = 100


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    clients = int(sys.argv[1])
    account_id, cookies = people(clients)
    port = free_port()
    with serving(port) as server:
        publish = publisher(server)
        found = asyncio.run(measured(cookies, port, server.pid, partial(publish, f"account.{account_id}")))
        found["unwatched"] = asyncio.run(unwatched(cookies, port, server.pid, publish))
    print(json.dumps({**found, "redis": bool(os.environ.get("REDIS_URL"))}))


@contextmanager
def serving(port: int, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run the web process until the block ends. Without an environment it has that of this process."""
    command = house.python("-m", "benchmarks.streams_server", str(port))
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, text=True) as server:
        try:
            wait_for(port)
            yield server
        finally:
            server.terminate()


def people(clients: int) -> tuple[int, list[str]]:
    """Make an account, staff who may see it, and return it with one browser's cookie per connection."""
    from django.conf import settings
    from django.contrib.auth.models import Permission
    from django.test import Client as Browser

    from accounts.models import Account, User
    from accounts.services.sign_ins import sign_in_begin

    seen = Permission.objects.get(codename="view_any")
    cookies = []
    for number in range(min(PEOPLE, clients)):
        user = User(email=f"staff{number}-{time.time_ns()}@vibex.local", is_staff=True)
        user.set_unusable_password()
        user.save()
        user.user_permissions.add(seen)
        browser = Browser()
        browser.force_login(user)
        key = str(browser.session.session_key)
        sign_in_begin(user=user, kind="session", address=None, agent="benchmark", session_key=key)
        cookies.append(f"{settings.SESSION_COOKIE_NAME}={key}")
    account = Account.objects.create(owner=User.objects.earliest("pk"), name=f"watched-{time.time_ns()}", venue="sim")
    return account.pk, [cookies[number % len(cookies)] for number in range(clients)]


async def measured(
    cookies: Sequence[str], port: int, pid: int, publish: Callable[[], float], rounds: Rounds = Rounds()
) -> dict[str, Any]:
    """Connect everybody, publish, break everything off, and return what was found. Seconds and bytes."""
    heard = [Heard() for _ in cookies]
    first = await connect_all(cookies[:1], port, [Heard()])  # what is loaded once is no client's
    before, began = memory_of(pid), time.perf_counter()
    used = [cpu_of(pid)]
    clients = await connect_all(cookies, port, heard)
    connected, memory = time.perf_counter() - began, (memory_of(pid) - before) / len(cookies)
    used.append(cpu_of(pid))
    single = await told(heard, publish, rounds.single, rounds.every)
    used.append(cpu_of(pid))
    burst = await told(heard, publish, rounds.burst, 1 / rounds.per_second)
    used.append(cpu_of(pid))
    closed = {each.closed for each in heard}
    storm, back = await storm_of(clients, cookies, port, heard, publish, rounds.missed)
    used.append(cpu_of(pid))
    names = ("connect", "single", "burst", "storm")
    cpu = {name: round(after - first, 2) for name, first, after in zip(names, used, used[1:], strict=False)}
    closed |= {each.closed for each in heard}
    rss = memory_of(pid)
    _abort([*first, *back])
    events = max(rounds.events, len(known(heard)))
    return {
        "clients": len(cookies),
        "connected": connected,
        "memory": memory,
        "cpu": cpu,
        "rss": rss,
        "single": single,
        "burst": burst,
        "storm": storm,
        "events": events,
        "lost": sum(events - len(each.at) for each in heard),
        "twice": sum(each.twice for each in heard),
        "answers": Counter(answer for each in heard for answer in each.answers),
        "closed": sorted(closed - {""}),
    }


async def told(heard: Sequence[Heard], publish: Callable[[], float], count: int, every: float) -> dict[str, Any]:
    """Publish, and return how long it took to the last client of each event."""
    before, sent = known(heard), []
    began = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number * every - time.perf_counter()))
        sent.append(publish())
    await everybody_has(heard, len(before) + count)
    lasts = [
        max(each.at[sequence] for each in heard if sequence in each.at) - at
        for sequence, at in zip(sorted(known(heard) - before), sent, strict=False)
    ]
    figures = {name: percentile(lasts, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))}
    return {"events": count, **figures}


async def storm_of(
    clients: Sequence[Client],
    cookies: Sequence[str],
    port: int,
    heard: Sequence[Heard],
    publish: Callable[[], float],
    missed: int,
) -> tuple[float, list[Client]]:
    """Break all connections at once; return seconds until all are back with what they missed, and who is back."""
    before = known(heard)
    _abort(clients)
    for _ in range(missed):
        publish()
    await asyncio.sleep(0.2)
    began = time.perf_counter()
    back = await connect_all(cookies, port, heard, resume=True)
    await everybody_has(heard, len(before) + missed)
    return time.perf_counter() - began, back


async def unwatched(
    cookies: Sequence[str], port: int, pid: int, publish: Callable[[str], float], rounds: Unwatched = Unwatched()
) -> list[dict[str, float]]:
    """Return what an event costs the server that concerns none of its clients, for each number of bots. Seconds.

    Raises RuntimeError where a client was told of one.
    """
    heard = [Heard() for _ in cookies[: rounds.clients]]
    clients = await connect_all(cookies[: rounds.clients], port, heard)
    found = []
    for bots in (rounds.bots[0], *rounds.bots):  # the first once more: what happens once is nobody's
        before = cpu_of(pid)
        for number in range(rounds.events):
            publish(f"account.{NOBODYS + number % bots}")
            if number % rounds.together == 0:
                await asyncio.sleep(0.02)
        await at_rest(pid)
        found.append({"bots": bots, "server": (cpu_of(pid) - before) / rounds.events})
    if known(heard):
        raise RuntimeError("events that concern nobody were told")
    _abort(clients)
    return found[1:]


async def at_rest(pid: int, *, patience: float = 20.0) -> None:
    """Wait until a process has next to nothing left to do, or patience is over."""
    ends, used = time.perf_counter() + patience, -1.0
    while time.perf_counter() < ends and cpu_of(pid) - used > 0.01:
        used = cpu_of(pid)
        await asyncio.sleep(0.5)


def known(heard: Sequence[Heard]) -> set[int]:
    """Return the sequences of all events that reached anybody."""
    return set[int]().union(*(each.at for each in heard))


async def everybody_has(heard: Sequence[Heard], count: int, patience: float = 20.0) -> None:
    """Wait until every client has so many changes, or patience is over."""
    ends = time.perf_counter() + patience
    while time.perf_counter() < ends and any(len(each.at) < count for each in heard):
        await asyncio.sleep(0.01)


def publisher(server: subprocess.Popen[str]) -> Callable[[str], float]:
    """Return what publishes one event of a topic and tells when: over Redis from here, as a worker would, else in the server."""
    from vibex.lib.events import Hint, log_of_process

    def over_redis(topic: str) -> float:
        hint = Hint((topic,), "account")
        log_of_process().put([hint])
        return hint.at

    def in_server(topic: str) -> float:
        at = time.time()
        if server.stdin is not None:
            server.stdin.write(f"{topic} account\n")
            server.stdin.flush()
        return at

    return over_redis if os.environ.get("REDIS_URL") else in_server


def memory_of(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def cpu_of(pid: int) -> float:
    """Return the processor time of a process in seconds: what it needs, however busy the machine is."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _abort(clients: Sequence[Client]) -> None:
    for client in clients:
        if client.transport is not None:
            client.transport.abort()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when the server answers. Raises TimeoutError after a minute."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health/live/"):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")
    main()
