"""The fleet: the services of `vibex.processes` as processes of this machine, an exchange and a model beside them."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.fleet.gate import Gate
from tests.support import model_server
from tests.support.tables import tables_on_server
from trading.exchange_server.accounts import TestAccount, Truth
from trading.exchange_server.auth import TESTNET, new_agent
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import Served, serve_in_thread
from vibex import processes
from vibex.lib.env import ROOT
from vibex.tests.running import KEPT, free_port

PATIENCE = 240.0
NUMBERS = range(12, 16)
"""Databases of Redis that fleets take; those below belong to other tests."""
SYMBOL = "BTCUSDT"
ALL = ("web", "worker-cycles", "worker-guard", "worker-slow", "beat", "stream", "user-streams")


@dataclass
class Trader:
    """One account at the exchange, and its rows here."""

    user: str
    keys: Mapping[str, str]
    account: int = 0
    bot: int = 0


@dataclass
class Fleet:
    """One installation. Its processes are those of the list, by name; a second of one kind has a name of its own."""

    folder: Path
    database: str
    """URL of its database, past the gate: what the test itself asks."""
    redis: str
    postgres_gate: Gate
    redis_gate: Gate
    exchange: Served
    model: model_server.Model
    symbols: tuple[str, ...] = (SYMBOL,)
    port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    """What its environment has besides, or otherwise."""
    traders: list[Trader] = field(default_factory=list)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("COV")}
        return kept | {
            "DATABASE_URL": _through(self.database, self.postgres_gate.at),
            "REDIS_URL": _through(self.redis, self.redis_gate.at),
            "SECRET_KEY": "the same key for all processes of an installation, long enough",
            "VIBEX_DATA_DIR": str(self.folder / "data"),
            "VIBEX_LOG_DIR": str(self.folder / "logs"),
            "TMPDIR": str(self.folder),
            "LOG_LEVEL": "WARNING",
            "MARKET": "live",
            "VENUE": "aster_testnet",
            "ASSETS": ",".join(symbol.removesuffix("USDT") for symbol in self.symbols),
            "ASTERDEX_TESTNET_REST_URL": self.exchange.http,
            "ASTERDEX_TESTNET_STREAM_URL": self.exchange.ws,
            "LLM_BASE_URL": self.model.address,
            "LLM_MODEL": "fleet/model",
            "API_PORT": str(self.port),
            "API_RATE_ADDRESS": "100000/min",
            "WEB_PROCESSES": "2",
            **self.settings,
        }

    def past_the_gates(self) -> None:
        """Let its processes reach PostgreSQL and Redis themselves: a gate is Python, and takes time from those who wait."""
        self.settings |= {"DATABASE_URL": self.database, "REDIS_URL": self.redis}

    # -- processes -----------------------------------------------------------------------------------------------

    def once(self, name: str) -> None:
        """Run a service that ends by itself."""
        words = processes.here(processes.service(name).command)
        subprocess.run(words, cwd=ROOT, env=self.environment, check=True, timeout=PATIENCE, capture_output=True)

    def begin(self, name: str, service: str = "", **environment: str) -> None:
        """Start a process of a service, by default the one of the same name."""
        words = processes.here(processes.service(service or name).command)
        with self.said(name).open("ab") as said:
            self.running[name] = subprocess.Popen(
                words, cwd=ROOT, env=self.environment | environment, stdout=said, stderr=said
            )

    def begin_all(self, names: Sequence[str] = ALL) -> None:
        for name in names:
            self.begin(name)

    def kill(self, name: str) -> None:
        """End a process as a power cut does."""
        self.running[name].kill()
        self.running.pop(name).wait(10)

    def end(self, *names: str) -> dict[str, int]:
        """Ask processes to end; return with what code each did."""
        ending = {name: self.running.pop(name) for name in names or list(self.running)}
        for process in ending.values():
            process.send_signal(signal.SIGTERM)
        return {name: self._ended(name, process) for name, process in ending.items()}

    def _ended(self, name: str, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGUSR1)  # a worker of Celery then says where its threads are
            time.sleep(3)
            process.kill()
            raise AssertionError(name, self.said(name).read_text(errors="replace")[-9000:]) from None

    def healthy(self, service: str) -> bool:
        """Ask what a health check asks."""
        words = processes.here(processes.service(service).health)
        return subprocess.run(words, env=self.environment, cwd=ROOT, check=False, capture_output=True).returncode == 0

    def said(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    # -- accounts and bots ---------------------------------------------------------------------------------------

    def seed(self, do: str, **more: Any) -> Any:
        ran = subprocess.run(
            [sys.executable, "-m", "tests.fleet.seed"],
            input=json.dumps({"do": do, **more}),
            cwd=ROOT,
            env=self.environment | {"DJANGO_SETTINGS_MODULE": "vibex.settings"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        return json.loads(ran.stdout.splitlines()[-1])["made"]

    def bots(self, count: int) -> None:
        """Open accounts at the exchange, and make their bots here."""
        for _ in range(count):
            agent, user = new_agent(), f"0x{secrets.token_hex(20)}"
            self.exchange.control.open_account(TestAccount(user, agents=(agent.address,)))
            keys = {"user": user, "signer": agent.address, "private_key": agent.private_key}
            self.traders.append(Trader(user, keys))
        asked = {"symbols": [SYMBOL], "interval": "3m", "timeframes": ["3m", "1h"], "model": "local/fleet/model"}
        made = self.seed("make", accounts=[dict(one.keys) for one in self.traders], **asked)
        for trader, rows in zip(self.traders, made, strict=True):
            trader.account, trader.bot = rows["account"], rows["bot"]

    def start(self, *traders: Trader) -> None:
        self.seed("start", bots=[trader.bot for trader in traders])

    def truth(self, trader: Trader) -> Truth:
        return self.exchange.control.account(trader.user)

    def protected(self, trader: Trader) -> bool:
        """Tell whether the account has a position at the exchange, and exactly one stop."""
        truth = self.truth(trader)
        stops = [one for one in truth.working(SYMBOL) if one.type == "STOP_MARKET"]
        return truth.state.position(SYMBOL) is not None and len(stops) == 1

    def naked(self) -> list[str]:
        """Return the accounts with a position and without a stop."""
        return [one.user for one in self.traders if self._held(one) and not self.protected(one)]

    def _held(self, trader: Trader) -> bool:
        return self.truth(trader).state.position(SYMBOL) is not None

    def sent_twice(self) -> list[str]:
        """Return client ids that more than one order at the exchange has had."""
        ids = Counter(order.client_order_id for trader in self.traders for order in self.truth(trader).orders)
        return sorted(one for one, times in ids.items() if times > 1)

    def books_agree(self) -> bool:
        """Compare what is booked here with the exchange's own record: trades and positions, to the last digit."""
        booked = {str(trade) for (trade,) in self.asks("SELECT exchange_trade_id FROM trading_fill")}
        there = {str(trade.trade_id) for trader in self.traders for trade in self.truth(trader).trades}
        open_here = set(self.asks("SELECT account_id, symbol, quantity FROM trading_position WHERE closed IS NULL"))
        open_there = {
            (trader.account, one.symbol, one.quantity)
            for trader in self.traders
            for one in self.truth(trader).state.positions
        }
        return booked == there and open_here == open_there

    # -- looking -------------------------------------------------------------------------------------------------

    def asks(self, query: str) -> list[Any]:
        with psycopg.connect(self.database) as connection:
            try:
                return connection.execute(query.encode()).fetchall()
            except psycopg.errors.UndefinedTable:
                return []

    def sql(self, statement: str) -> None:
        """Change rows, as time or a person would."""
        with psycopg.connect(self.database) as connection:
            connection.execute(statement.encode())

    def says(self, path: str, port: int = 0) -> int:
        """Return the status of a page, 0 where nobody answers. `port` is that of another web server than the first."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}{path}", timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as told:
            return told.code
        except OSError:
            return 0

    def ready(self) -> bool:
        return self.says("/api/v1/health/ready/") == 200

    def wait_for(self, happened: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Return what `happened` returns as soon as that is true. Fails when a process ends meanwhile."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for name, process in self.running.items():
                assert process.poll() is None, (name, process.returncode, self.last_words(name))
            if found := happened():
                return found
            time.sleep(0.3)
        raise AssertionError({name: self.last_words(name) for name in self.running})

    def last_words(self, name: str) -> str:
        return self.said(name).read_text(encoding="utf-8", errors="replace")[-1500:]


@contextmanager
def fleet(
    folder: Path,
    postgres_url: str,
    redis_url: str,
    name: str,
    *,
    symbols: tuple[str, ...] = (SYMBOL,),
    history_days: int = 3,
) -> Iterator[Fleet]:
    """Yield an installation with an empty database and an empty Redis, and nothing running yet; clear up afterwards.

    The exchange has so many whole days of candles of each symbol.
    """
    import redis

    database = f"{postgres_url.rpartition('/')[0]}/{name}"
    tables_on_server(database)
    with ExitStack() as held:
        at_redis = f"{redis_url.rpartition('/')[0]}/{held.enter_context(_number_of_redis())}"
        redis.Redis.from_url(at_redis).flushdb()
        markets = simulated_markets(symbols, history_days=history_days)
        exchange = held.enter_context(serve_in_thread(markets, weight_limit=10**6, chain_id=TESTNET))
        model = held.enter_context(model_server.serving())
        before_postgres, before_redis = _gate(database, 5432).open(), _gate(at_redis, 6379).open()
        for gate in (before_postgres, before_redis):
            held.callback(gate.shut)
        made = Fleet(folder, database, at_redis, before_postgres, before_redis, exchange, model, symbols)
        try:
            made.once("migrate")
            yield made
        finally:
            for process in made.running.values():
                process.kill()
                process.wait(10)
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@contextmanager
def _number_of_redis() -> Iterator[int]:
    """Hold one of the databases of Redis that fleets take: several may run at once on a machine."""
    for number in NUMBERS:
        with (Path(tempfile.gettempdir()) / f"vibex-fleet-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    raise AssertionError("more fleets run on this machine than there are databases of Redis for them")


def _gate(url: str, usual: int) -> Gate:
    found = urlsplit(url)
    return Gate(found.hostname or "127.0.0.1", found.port or usual)


def _through(url: str, port: int) -> str:
    """Return a URL that leads through a gate of this machine."""
    found = urlsplit(url)
    who = found.netloc.rpartition("@")[0]
    return found._replace(netloc=f"{who}{'@' if who else ''}127.0.0.1:{port}").geturl()
