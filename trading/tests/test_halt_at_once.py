"""Emergency stops that meet, and one whose exchange hangs: several threads write at once."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connections

from accounts.models import AuditEntry, Job
from accounts.services.jobs import job_wait, jobs_drain
from trading.models import Halt
from trading.services.halt import Halted, account_halt
from trading.tests.live_kit import BUY, books_tie_out, live_exchange, live_house, nothing_hangs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.ci]


def test_two_presses_at_once_are_one_halt_and_both_see_it_proved(monkeypatch):
    with live_house(monkeypatch) as house:
        house.cycle(BUY)
        barrier, done = threading.Barrier(2), list[Halted]()

        def press(reason: str) -> None:
            try:
                account = house.account
                barrier.wait(10)
                done.append(account_halt(account=account, reason=reason, actor=account.owner))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=press, args=(reason,)) for reason in ("left hand", "right hand")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [one.flat for one in done] == [True, True]
        assert sorted(one.latched for one in done) == [False, True]
        halt = Halt.objects.get()
        assert (halt.closed, halt.flat_at is not None) == (["BTCUSDT long 0.02"], True)
        assert AuditEntry.objects.filter(action="account-halt").count() == house.account.epoch == 2
        assert (house.held(), house.truth.working()) == (0, [])
        assert len([one for one in house.truth.orders if one.side.value == "SELL" and one.filled]) == 1
        house.guard(2)
        books_tie_out(house)
        nothing_hangs(house)


def test_who_presses_while_an_exchange_hangs_is_answered_and_the_others_wait_for_nothing(monkeypatch, client):
    with (
        live_exchange() as served,
        live_house(monkeypatch, served=served, name="hangs") as hangs,
        live_house(monkeypatch, served=served, name="well") as well,
    ):
        well.cycle(BUY)
        hangs.fault("delay", seconds=30, count=None, form={"user": hangs.user})
        for house in (hangs, well):
            client.force_login(house.account.owner)
            began = time.monotonic()
            answer = client.post(
                f"/api/v1/accounts/{house.account.pk}/halt/", {"reason": "test"}, content_type="application/json"
            )
            assert answer.status_code in ((200, 202) if house is well else (202,)), answer.content
            assert time.monotonic() - began < 10, "three seconds, and what a busy machine adds"
            house.account.refresh_from_db()
            assert house.account.state == "halted"
        job = job_wait(Job.objects.get(account=well.account), 30)
        assert job.result["flat"]
        assert well.state.positions == ()
        served.control.clear()
        for _ in range(300):  # it is worked on without the caller
            if Halt.objects.get(account=hangs.account).flat_at:
                break
            time.sleep(0.2)
        assert Halt.objects.get(account=hangs.account).flat_at, "no guard ran in this test"
        assert jobs_drain(60)
