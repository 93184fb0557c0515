"""The database goes away at any request of a position's life and comes back: real backends of PostgreSQL are ended.

Nothing is sent twice, and the first look afterwards finds out what happened, as after a kill.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from marketdata.aster.wire import HttpWire
from tests.faults.house import Cell, a_cell
from tests.faults.matrix import CALLS, Struck
from trading.exchange_server.server import Served
from trading.models import Claim
from trading.services.lease import cycles_abandon
from trading.tests.live_kit import live_exchange

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci, pytest.mark.postgres, pytest.mark.timeout(120)]
CHANGES = [call for call in CALLS if call.method != "GET"]
SHORT, LONG = 0.3, 5.0
TEN_SECONDS = 10.0


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with live_exchange() as running:
        yield running


@contextmanager
def gone_at(
    monkeypatch: pytest.MonkeyPatch, call: Struck, *, before: bool, seconds: float
) -> Iterator[threading.Event]:
    """Let the database be gone for some seconds when the call is made; yield what tells that it was, and is back."""
    carry, left, back, timers = HttpWire.carry, [call.skip], threading.Event(), list[threading.Timer]()

    def struck(method: str, path: str, params: Any) -> bool:
        has = all(str(params.get(name)) == value for name, value in call.form.items())
        fits = method == call.method and path.endswith(call.path.strip("*")) and has
        left[0] -= fits
        return fits and left[0] == -1

    def end() -> None:
        _allow(connections=False)
        timers.append(threading.Timer(seconds, lambda: (_allow(connections=True), back.set())))
        timers[0].start()

    def carried(self: HttpWire, method: str, path: str, params: Any, **named: Any) -> Any:
        doomed = struck(method, path, params)
        if doomed and before:
            end()
        answer = carry(self, method, path, params, **named)
        if doomed and not before:
            end()
        return answer

    monkeypatch.setattr(HttpWire, "carry", carried)
    try:
        yield back
    finally:
        for timer in timers:
            timer.join()
        _allow(connections=True)
        connection.close()


def _allow(*, connections: bool) -> None:
    """Take connections again; or take none, and end those that there are."""
    told = connection.settings_dict
    where = {"host": told["HOST"], "port": told["PORT"], "user": told["USER"], "password": told["PASSWORD"] or None}
    with psycopg.connect(dbname="postgres", autocommit=True, **where) as other:
        other.execute(f'ALTER DATABASE "{told["NAME"]}" ALLOW_CONNECTIONS {connections}')
        if not connections:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [told["NAME"]])


def lives_on(monkeypatch: pytest.MonkeyPatch, served: Served, call: Struck, *, before: bool, seconds: float) -> None:
    with a_cell(monkeypatch, served) as cell:
        cell.live_until(call.phase)
        with gone_at(monkeypatch, call, before=before, seconds=seconds) as back:
            with suppress(DatabaseError, InterfaceError):
                cell.step(call.phase)
            assert back.wait(seconds + 5), "the call was never made"
        waited = _the_dead_lets_go(cell)
        cell.recover()
        assert waited + cell.recovery <= TEN_SECONDS
        cell.a_minute_passes()
        cell.whole()
        assert cell.safe()
        cycles_abandon(account_id=cell.house.bot.account_id)  # its lease ends by itself within 90 s
        cell.finish()


def _the_dead_lets_go(cell: Cell) -> float:
    """Let claims run out that nobody could give back; return for how many seconds they would have held."""
    claims = Claim.objects.filter(account=cell.house.bot.account_id)
    now = timezone.now()
    held = [(until - now).total_seconds() for until in claims.values_list("until", flat=True)]
    claims.update(until=now)
    time.sleep(0.001)
    return max([0.0, *held])


@pytest.mark.parametrize("before", [True, False], ids=["before it is sent", "after it was carried out"])
@pytest.mark.parametrize("call", CHANGES, ids=lambda one: one.name)
def test_a_life_goes_on_without_its_database_for_a_moment(monkeypatch, served, call: Struck, before: bool):
    lives_on(monkeypatch, served, call, before=before, seconds=SHORT)


@pytest.mark.parametrize("name", ["entry", "stop", "close"])
def test_a_life_goes_on_without_its_database_for_five_seconds(monkeypatch, served, name):
    (call,) = [one for one in CHANGES if one.name == name]
    lives_on(monkeypatch, served, call, before=False, seconds=LONG)
