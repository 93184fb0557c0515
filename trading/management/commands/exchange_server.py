"""`manage.py exchange_server`: a test exchange that answers as AsterDEX does."""

from __future__ import annotations

import asyncio
from argparse import ArgumentTypeError
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vibex.lib.commands import moment, names
from vibex.lib.errors import VibexError

if TYPE_CHECKING:
    from trading.exchange_server.accounts import TestAccount
    from trading.exchange_server.auth import Agent, ApiKey
    from trading.exchange_server.markets import Markets
    from trading.exchange_server.server import ExchangeServer

PORTS = range(65_536)
USAGE = 2


class Command(BaseCommand):
    help = "Run a test exchange with AsterDEX's REST and WebSocket surface over a recorded or simulated market."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        source = parser.add_mutually_exclusive_group()
        source.add_argument("--data", type=Path, help="Folder with SYMBOL-interval.csv.gz files to replay.")
        source.add_argument("--seed", type=int, default=7, help="Seed of the simulated market (default 7).")
        parser.add_argument("--host", default="127.0.0.1", help="Address to listen on (default 127.0.0.1).")
        parser.add_argument("--port", type=_port, default=8089, help="Port (default 8089; 0 takes a free one).")
        parser.add_argument("--speed", type=float, default=1.0, help="Market seconds in a second (default 1).")
        parser.add_argument("--symbols", type=names, help="BTCUSDT,ETHUSDT,… (default: all there are).")
        parser.add_argument("--exchange-info", type=Path, help="Recorded exchangeInfo whose contracts are served.")
        parser.add_argument("--start", type=moment, help="Where the clock begins: 2025-10-10T20:00, UTC.")
        parser.add_argument("--today", action="store_true", help="Move the recording so that its start is today.")
        parser.add_argument("--weight-limit", type=int, default=2400, help="Weight a minute (default 2400).")
        parser.add_argument(
            "--account",
            type=_deposit,
            nargs="?",
            const=Decimal(10_000),
            metavar="DEPOSIT",
            help="Open an account with play money (default 10000) and print its throw-away keys. Loopback only.",
        )
        parser.add_argument(
            "--tls", action="store_true", help="Speak https and wss, with a certificate made at the start."
        )
        parser.add_argument("--testnet", action="store_true", help="Expect signatures for the testnet's chain id.")

    def handle(self, **options: Any) -> None:
        # Imported here: aiohttp and NumPy are of no use to the other commands.
        from trading.exchange_server.auth import MAINNET, TESTNET
        from trading.exchange_server.server import ExchangeServer, serve
        from trading.exchange_server.tls import self_made

        host, port = options["host"], options["port"]
        try:
            markets = _markets(options)
            chain_id = TESTNET if options["testnet"] else MAINNET
            server = ExchangeServer(markets, weight_limit=options["weight_limit"], chain_id=chain_id)
            demo = None if options["account"] is None else _demo(server, host, options["account"])
            with self_made(host) if options["tls"] else nullcontext() as tls:
                ready = partial(
                    self._ready, markets, Where(host, tls.certificate if tls else None), demo, options["testnet"]
                )
                context = tls.context if tls else None
                asyncio.run(serve(server, host=host, port=port, ready=ready, context=context))
        except VibexError as fault:
            raise CommandError(str(fault)) from None
        self.stdout.write("Stopped.")

    def _ready(self, markets: Markets, where: Where, demo: Demo | None, testnet: bool, port: int) -> None:
        rest, streams = where.addresses(port)
        self.stdout.write(f"AsterDEX-compatible test exchange, {markets.title}: {len(markets.contracts)} symbols")
        self.stdout.write(f"  clock     {markets.describe()['now']}, speed {markets.clock.speed:g}")
        self.stdout.write(f"  REST      {rest}/fapi/v3/")
        self.stdout.write(f"  streams   {streams}/stream")
        self.stdout.write(f"  control   {rest}/_sim/state")
        if where.certificate is not None:
            self.stdout.write(f"  trust     {where.certificate}, while this runs")
        if demo is not None:
            self.stdout.write(f"An account with {demo.account.deposit:f} USDT of play money; its keys are shown once:")
            self.stdout.write(f"  V3 user   {demo.account.user}")
            self.stdout.write(f"  V3 signer {demo.agent.address}")
            self.stdout.write(f"  V3 key    {demo.agent.private_key}")
            self.stdout.write(f"  V1 key    {demo.key.key}")
            self.stdout.write(f"  V1 secret {demo.key.secret}")
        self.stdout.write("Point Vibex at it:")
        name, venue = ("ASTERDEX_TESTNET", "VENUE=aster_testnet ") if testnet else ("ASTERDEX", "")
        self.stdout.write(f"  MARKET=live {venue}{name}_REST_URL={rest} {name}_STREAM_URL={streams}")
        self.stdout.write("Ctrl-C stops it.")
        self.stdout.flush()


@dataclass(frozen=True, slots=True)
class Where:
    """Where the exchange listens: by TLS, if it has a certificate."""

    host: str
    certificate: Path | None

    def addresses(self, port: int) -> tuple[str, str]:
        s = "s" if self.certificate else ""
        return f"http{s}://{self.host}:{port}", f"ws{s}://{self.host}:{port}"


@dataclass(frozen=True, slots=True)
class Demo:
    """An account to try with, and its keys."""

    account: TestAccount
    agent: Agent
    key: ApiKey


def _demo(server: ExchangeServer, host: str, deposit: Decimal) -> Demo:
    """Open an account with keys out of nowhere. Raises CommandError where others could reach them."""
    from trading.exchange_server.accounts import TestAccount
    from trading.exchange_server.auth import new_agent, new_key

    if not _loopback(host):
        raise CommandError(
            f"--account prints keys: it is for 127.0.0.1 and the like, not for {host}.", returncode=USAGE
        )
    agent, key = new_agent(), new_key()
    account = TestAccount(deposit=deposit, agents=(agent.address,), keys=(key,))
    server.signed.accounts.open(account)
    return Demo(account, agent, key)


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _deposit(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not (amount.is_finite() and 0 < amount <= 1_000_000_000):
        raise ArgumentTypeError(f"{text!r} is not an amount like 10000")
    return amount


def _markets(options: dict[str, Any]) -> Markets:
    from trading.exchange_server.build import recorded_markets, simulated_markets

    if options["today"] and options["data"] is None:
        raise CommandError("--today moves a recording: name its folder by --data.", returncode=USAGE)
    common = {name: options[name] for name in ("start", "speed", "exchange_info")}
    if options["data"] is not None:
        return recorded_markets(options["data"], options["symbols"], today=options["today"], **common)
    return simulated_markets(options["symbols"], seed=options["seed"], **common)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) not in PORTS:
        raise ArgumentTypeError(f"{text!r} is not a port: use 0 to {PORTS[-1]}")
    return int(text)
