"""`manage.py halt` and `resume`: with the database and the exchange alone, what they print, and what they refuse."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, User
from marketdata.services import feed_configure
from trading.exchange_server.accounts import TestAccount
from trading.exchange_server.auth import TESTNET, new_agent
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import Served, serve_in_thread
from trading.models import Halt
from trading.services import halt_all
from trading.tests.builders import make_account
from vibex.lib.env import ROOT

USER = "0x" + "ab" * 20
DEAD = "redis://127.0.0.1:1/0"
SETUP = """
import django
django.setup()
from tests.support.tables import tables_made
tables_made()
from accounts.domain.credentials import AsterV3Keys
from accounts.services.credentials import credentials_save
from marketdata.services.live import live_open
from trading.tests.builders import make_account
account = make_account("house", venue="aster", mode="live", network="testnet")
credentials_save(account=account, keys=AsterV3Keys({user!r}, {address!r}, {key!r}), actor=None)
live_open(venue=account.market, symbols=["BTCUSDT"], seconds=60)
"""


@dataclass
class Alone:
    """A live account in a database of its own, at a test exchange; of Vibex nothing runs but a command."""

    served: Served
    environment: dict[str, str]

    def run(self, *arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, *(("manage.py",) if arguments[0] != "-c" else ()), *arguments]
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def open_something(self) -> None:
        form = {"symbol": "BTCUSDT", "side": "BUY"}
        self.served.control.order(USER, **form, type="MARKET", quantity="0.01")
        self.served.control.order(USER, **form, type="LIMIT", timeInForce="GTC", price="1000", quantity="0.1")

    def is_flat(self) -> bool:
        truth = self.served.control.account(USER)
        return truth.state.positions == () and truth.working() == []


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")}
    agent = new_agent()
    with serve_in_thread(simulated_markets(["BTCUSDT"], history_days=1), chain_id=TESTNET) as served:
        served.control.open_account(TestAccount(USER, agents=(agent.address,)))
        environment = {
            **kept,
            "VIBEX_ENV": "dev",
            "DJANGO_SETTINGS_MODULE": "vibex.settings",
            "VIBEX_DATA_DIR": str(tmp_path),
            "LOG_FILES": "no",
            "LOG_LEVEL": "CRITICAL",
            "REDIS_URL": DEAD,
            "ASTERDEX_TESTNET_REST_URL": served.http,
            "ASTERDEX_TESTNET_STREAM_URL": served.ws,
        }
        house = Alone(served, environment)
        made = house.run("-c", SETUP.format(user=USER, address=agent.address, key=agent.private_key))
        assert made.returncode == 0, made.stderr
        yield house


@pytest.mark.ci
@pytest.mark.timeout(240)
def test_promise_6_halt_needs_the_database_and_the_exchange_and_nothing_else(alone):
    alone.open_something()
    done = alone.run("halt", "house", "--reason", "Redis, web server, workers: all are down", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (one,) = json.loads(done.stdout)
    assert (one["latched"], one["flat"], one["closed"], len(one["cancelled"])) == (True, True, ["BTCUSDT long 0.01"], 1)
    assert alone.is_flat()
    assert one["seconds"] < 40, "no part that is not there is waited for"
    for words in ("latched", "cancelled", "closed: BTCUSDT long 0.01", "read again: flat"):
        assert words in done.stderr, "progress, while it works"


@pytest.mark.ci
@pytest.mark.timeout(240)
def test_the_latch_stays_when_the_exchange_hangs_time_is_up_or_a_person_interrupts(alone):
    alone.open_something()
    alone.served.control.fault("503", path="*", count=10_000)
    late = alone.run("halt", "--all", "--wait", "1")
    assert late.returncode == 1
    assert "NO" in late.stdout
    assert "What is latched stays latched" in late.stderr
    process = alone.start("halt", "house", "--wait", "100")
    assert "latched" in process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Interrupted. What is latched stays latched" in err) == (130, True), out + err
    alone.served.control.clear()
    assert not alone.is_flat()
    after = alone.run("halt", "house", "--wait", "90")
    assert after.returncode == 0, after.stdout + after.stderr
    assert "before" in after.stdout, "it was latched before"
    assert alone.is_flat()


# In this process


@pytest.fixture
def account(transactional_db) -> Account:
    feed_configure(venue="sim", kind="simulated", seed=7)
    return make_account("desk")


def told(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_an_account_is_named_by_name_or_id_and_one_that_could_be_two_is_said(account):
    assert "desk (paper)  now" in told("halt", "desk")
    assert "desk (paper)  before" in told("halt", str(account.pk))
    other = make_account("other")
    Account.objects.filter(pk=other.pk).update(name="desk")
    with pytest.raises(CommandError, match=r"several accounts are called 'desk': use an id, .*other@example.com"):
        told("halt", "desk")
    with pytest.raises(CommandError, match="there is no account 'nothing'"):
        told("halt", "nothing")
    assert Halt.objects.count() == 1


@pytest.mark.parametrize("arguments", [(), ("desk", "--all"), ("desk", "--wait", "soon"), ("desk", "--wait", "-1")])
def test_a_command_that_is_not_understood_stops_nothing(account, arguments):
    with pytest.raises((CommandError, SystemExit)):
        told("halt", *arguments)
    assert not Halt.objects.exists()


def test_an_account_that_is_not_flat_in_time_is_exit_code_1(account, monkeypatch):
    waits = threading.Event()
    monkeypatch.setattr(halt_all._Press, "work", lambda self, account: waits.wait(5))
    with pytest.raises(SystemExit) as ended:
        told("halt", "desk", "--wait", "0")
    waits.set()
    assert ended.value.code == 1
    assert Account.objects.get(pk=account.pk).state == "halted"


def test_resume_takes_a_person_with_the_permission(account):
    told("halt", "--all", "--keep-positions")
    User.objects.create_user("stranger@example.org")
    User.objects.create_superuser("operator@example.org")
    for email, says in (("nobody@example.org", "there is nobody"), ("stranger@example.org", "it takes a permission")):
        with pytest.raises(CommandError, match=says):
            told("resume", "desk", "--reason", "looked at", "--as", email)
    for arguments in (("resume", "desk", "--as", "operator@example.org"), ("resume", "desk", "--reason", "x")):
        with pytest.raises(CommandError, match="required"):
            told(*arguments)
    said = told("resume", "desk", "--reason", "looked at", "--as", "Operator@Example.org")
    assert said.strip() == "desk (paper) may open positions again, by operator@example.org: looked at"
    fresh = Account.objects.get(pk=account.pk)
    assert (fresh.state, fresh.halt_keeps_positions, Halt.objects.get().lifted is not None) == ("active", False, True)
