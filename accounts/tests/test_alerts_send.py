"""What leaves arrives: once, in words, without secrets, so many within an hour, and again when it did not get through."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from queue import SimpleQueue
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.domain.alerts import WAITS, EventType, Severity
from accounts.models import Account, Alert, AlertChannel, AlertDelivery, User
from accounts.services import account_create, alert_raise, user_create
from accounts.services.alerts import raising, sending
from accounts.services.alerts.channels import channel_delete, channel_save
from accounts.services.alerts.sending import channel_test, deliveries_send
from accounts.tests.alert_kit import Receiver, channel_to, http_receiver, smtp_receiver
from vibex.lib.errors import Rejected
from vibex.lib.masking import register_secret

pytestmark = pytest.mark.django_db
State = AlertDelivery.State


@pytest.fixture
def desk() -> Iterator[Receiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def owner() -> User:
    return user_create(email="owner@example.com", password="correct horse battery")


@pytest.fixture
def account(owner: User) -> Account:
    return account_create(owner=owner, name="main", venue="aster", mode="live", network="testnet")


def tell(account: Account, subject: str = "BTCUSDT", message: str = "BTCUSDT has no stop.", **more: Any) -> Alert:
    given = {"type": EventType.MISSING_PROTECTION, "severity": Severity.ERROR, **more}
    return alert_raise(account=account, subject=subject, message=message, **given)


def states() -> list[str]:
    return list(AlertDelivery.objects.order_by("pk").values_list("state", flat=True))


def due_now() -> None:
    AlertDelivery.objects.exclude(state__in=(State.SENT, State.JOINED)).update(due=timezone.now())


def test_a_message_says_what_how_grave_and_of_which_account(
    account: Account, owner: User, desk: Receiver, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://vibex.example.com"
    channel_to(owner, desk.json)
    alert = tell(account)
    tell(account)
    assert deliveries_send() == 1
    [(title, text)] = desk.got
    assert title == "Vibex ERROR: missing protection, main (testnet)"
    assert text.splitlines()[0] == "BTCUSDT has no stop."
    assert text.splitlines()[1].startswith("2 times since ")
    assert text.splitlines()[-1] == f"https://vibex.example.com/alerts/?seen=all#alert-{alert.pk}"
    assert states() == [State.SENT]


def test_a_mail_arrives(account: Account, owner: User) -> None:
    with smtp_receiver() as mailbox:
        channel_to(owner, f"mailto://127.0.0.1:{mailbox.port}?from=vibex@example.com&to=me@example.com&mode=insecure")
        tell(account)
        assert deliveries_send() == 1
    [(title, text)] = mailbox.got
    assert title == "Vibex ERROR: missing protection, main (testnet)"
    assert "BTCUSDT has no stop." in text


def test_a_worker_is_asked_after_the_commit(
    account: Account, owner: User, desk: Receiver, django_capture_on_commit_callbacks: Any, monkeypatch: Any
) -> None:
    asked = SimpleQueue[str]()
    monkeypatch.setattr(raising.current_app, "send_task", lambda name, **_: asked.put(name))
    channel_to(owner, desk.json)
    with django_capture_on_commit_callbacks(execute=True):
        tell(account)
        tell(account)
        assert asked.empty()
    assert asked.get(timeout=20) == "accounts.tasks.alerts_send"


def test_a_broker_that_is_down_costs_nothing(
    account: Account, owner: User, desk: Receiver, django_capture_on_commit_callbacks: Any, monkeypatch: Any
) -> None:
    answers, asked = Event(), SimpleQueue[str]()

    def hangs(name: str, **_: Any) -> None:
        asked.put(name)
        answers.wait(20)
        raise ConnectionError

    monkeypatch.setattr(raising.current_app, "send_task", hangs)
    channel_to(owner, desk.json)
    for subject in ("BTCUSDT", "ETHUSDT"):
        with django_capture_on_commit_callbacks(execute=True):
            tell(account, subject)
    asked.get(timeout=20)
    assert deliveries_send() == 2  # by the schedule, while nobody knows yet that the broker is down
    answers.set()
    assert raising._asking.acquire(timeout=20)  # the next one asks again
    raising._asking.release()


def test_what_fails_is_tried_again_with_growing_waits_and_then_given_up(
    account: Account, owner: User, desk: Receiver
) -> None:
    channel_to(owner, desk.json)
    tell(account)
    desk.status = 500
    for attempt, wait in enumerate(WAITS, 1):
        before = timezone.now()
        assert deliveries_send() == 0
        row = AlertDelivery.objects.get()
        assert (row.state, row.attempts) == (State.WAITING, attempt)
        assert row.due >= before + wait
        assert "500" in row.error
        assert deliveries_send() == 0
        assert AlertDelivery.objects.get().attempts == attempt  # not before it is due
        due_now()
    deliveries_send()
    assert states() == [State.FAILED]
    desk.status = 200
    due_now()
    assert deliveries_send() == 0


def test_what_failed_gets_through_later(account: Account, owner: User, desk: Receiver) -> None:
    channel_to(owner, desk.json)
    tell(account)
    desk.status = 503
    deliveries_send()
    desk.status = 200
    due_now()
    assert deliveries_send() == 1
    assert (states(), AlertDelivery.objects.get().error) == ([State.SENT], "")


def test_a_channel_that_fails_keeps_nothing_from_another(account: Account, owner: User, desk: Receiver) -> None:
    channel_to(owner, "json://127.0.0.1:1/dead", "dead")
    channel_to(owner, desk.json, "alive")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        tell(account, symbol)
    assert deliveries_send() == 2
    assert AlertDelivery.objects.filter(channel__name="dead", attempts=1).count() == 1  # one try is enough for now


def test_what_is_more_than_the_hour_allows_is_told_in_one_message(
    account: Account, owner: User, desk: Receiver
) -> None:
    channel_to(owner, desk.json, per_hour=2)
    for number in range(6):
        tell(account, f"S{number}", f"message {number}", severity=Severity.ERROR if number == 4 else Severity.WARNING)
    assert deliveries_send() == 2
    assert states() == [State.SENT] * 2 + [State.HELD] * 4
    assert deliveries_send() == 0
    AlertDelivery.objects.filter(state=State.SENT).update(sent=timezone.now() - timedelta(hours=1))
    due_now()
    assert deliveries_send() == 1
    title, text = desk.got[-1]
    assert title.startswith("Vibex ERROR")
    assert text.splitlines() == ["message 4", "and 3 more: 3 × missing protection (warning)."]
    assert sorted(states()) == [State.JOINED] * 3 + [State.SENT] * 3


def test_what_was_held_back_and_fails_is_held_back_again(account: Account, owner: User, desk: Receiver) -> None:
    channel_to(owner, desk.json, per_hour=1)
    for number in range(3):
        tell(account, f"S{number}")
    deliveries_send()
    AlertDelivery.objects.filter(state=State.SENT).update(sent=timezone.now() - timedelta(hours=1))
    due_now()
    desk.status = 500
    assert deliveries_send() == 0
    assert states() == [State.SENT, State.HELD, State.HELD]
    desk.status = 200
    due_now()
    assert deliveries_send() == 1
    assert sorted(states()) == [State.JOINED, State.SENT, State.SENT]


def test_the_critical_ones_pass(account: Account, owner: User, desk: Receiver) -> None:
    channel_to(owner, desk.json, per_hour=1)
    tell(account, "S1")
    tell(account, "S2")
    tell(account, "S3", severity=Severity.CRITICAL)
    assert deliveries_send() == 2
    assert states() == [State.SENT, State.HELD, State.SENT]


def test_a_message_that_its_sender_left_is_sent_by_another_after_a_while(
    account: Account, owner: User, desk: Receiver, monkeypatch: Any
) -> None:
    channel_to(owner, desk.json)
    tell(account)

    def killed(_: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(sending, "_sent", killed)
        with pytest.raises(KeyboardInterrupt):
            deliveries_send()
    assert deliveries_send() == 0
    AlertDelivery.objects.update(due=timezone.now())
    assert deliveries_send() == 1
    assert len(desk.got) == 1


def test_who_switches_a_channel_off_gets_nothing_more(account: Account, owner: User, desk: Receiver) -> None:
    channel_to(owner, desk.json)
    tell(account)
    AlertChannel.objects.update(enabled=False)
    assert deliveries_send() == 0
    assert (states(), desk.got) == ([State.FAILED], [])


def test_no_secret_leaves_and_none_is_kept(
    account: Account, owner: User, desk: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    register_secret("registered-secret-4711")
    channel_to(owner, f"json://user:pass-4711-word@127.0.0.1:{desk.port}/t0kenpath4711x?+X-Key=t0kenheader4711", "a")
    channel_to(owner, "json://user:pass-4711-word@127.0.0.1:1/t0kenpath4711x?+X-Key=t0kenheader4711", "b")
    tell(account, message="the key is registered-secret-4711")
    deliveries_send()
    assert "4711" not in desk.raw[0].partition(" ")[2]
    assert desk.got[0][1].startswith("the key is ***")
    kept = str(list(AlertDelivery.objects.values())) + str(list(Alert.objects.values()))
    kept += str(list(AlertChannel.objects.values("name", "kind", "shown")))
    assert "4711" not in kept
    assert "4711" not in str([record.getMessage() for record in caplog.records])
    assert AlertDelivery.objects.get(channel__name="b").error


def test_only_staff_sends_to_this_machine(account: Account, owner: User, desk: Receiver) -> None:
    channel = channel_to(owner, desk.json)
    User.objects.filter(pk=owner.pk).update(is_staff=False)
    tell(account)
    assert deliveries_send() == 0
    assert "only staff" in AlertDelivery.objects.get().error
    assert desk.got == []
    channel.user.refresh_from_db()


@pytest.mark.parametrize("host", ["2130706433", "localhost.localdomain"])
def test_a_name_that_leads_to_this_machine_is_refused_when_it_is_asked(
    account: Account, owner: User, desk: Receiver, host: str
) -> None:
    channel_save(user=owner, actor=owner, name="sly", url=f"json://{host}:{desk.port}/", min_severity=Severity.INFO)
    tell(account)
    assert deliveries_send() == 0
    assert desk.got == []


def test_nobody_is_sent_on_from_a_webhook_to_somewhere_else(account: Account, owner: User, desk: Receiver) -> None:
    with http_receiver() as inner:
        desk.elsewhere = f"http://127.0.0.1:{inner.port}/"
        channel_to(owner, desk.json)
        tell(account)
        assert deliveries_send() == 0
    assert (desk.got, inner.got) == ([], [])


def test_a_test_message_is_sent_at_once_and_its_outcome_shown(owner: User, desk: Receiver) -> None:
    channel = channel_to(owner, desk.json, per_hour=2)
    done = channel_test(channel=channel, actor=owner)
    assert (done.state, done.error) == (State.SENT, "")
    assert desk.got[0][0] == "Vibex INFO: test"
    desk.status = 401
    failed = channel_test(channel=channel, actor=owner)
    assert failed.state == State.FAILED
    assert "401" in failed.error or "Unauthorized" in failed.error
    channel_test(channel=channel, actor=owner)  # what failed counts for no hour
    desk.status = 200
    channel_test(channel=channel, actor=owner)
    with pytest.raises(Rejected, match="within the hour"):
        channel_test(channel=channel, actor=owner)


def test_an_address_that_does_not_open_says_so(account: Account, owner: User, desk: Receiver) -> None:
    channel_to(owner, desk.json)
    AlertChannel.objects.update(sealed="gAAAAA")
    tell(account)
    deliveries_send()
    assert "CREDENTIALS_KEY" in AlertDelivery.objects.get().error


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_senders_send_each_message_once(account: Account, owner: User, desk: Receiver, monkeypatch: Any) -> None:
    desk.delay = 0.01
    channel_to(owner, desk.json, per_hour=500)
    for number in range(24):
        tell(account, f"S{number}", f"message {number}")

    def send(_: int) -> int:
        try:
            return sending._send_all()  # as in processes of their own: without the lock of one
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(send, range(4)))
    assert sum(counts) == 24
    assert sorted(text for _, text in desk.got) == sorted(f"message {number}" for number in range(24))
    assert sum(count > 0 for count in counts) > 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_many_writers_of_the_same_make_one_alert_that_counts_all(account: Account, owner: User, desk: Receiver) -> None:
    channel_to(owner, desk.json)

    def write(number: int) -> None:
        try:
            tell(account, message=f"message {number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(30)))
    assert Alert.objects.get().count == 30
    assert AlertDelivery.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_channel_that_is_removed_meanwhile_undoes_nothing_that_is_told(
    account: Account, owner: User, desk: Receiver
) -> None:
    channel = channel_to(owner, desk.json)

    def remove() -> None:
        try:
            channel_delete(channel=channel, actor=owner)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            tell(account)
            removed = pool.submit(remove)
            if connection.vendor == "postgresql":  # SQLite has one writer, who is here
                with suppress(TimeoutError):
                    removed.result(timeout=0.5)
        removed.result(timeout=20)
    assert Alert.objects.count() == 1
    assert not AlertChannel.objects.exists()
    assert not AlertDelivery.objects.exists()


def test_where_no_thread_can_be_had_what_is_told_stays_and_the_next_one_asks_again(
    account: Account, owner: User, desk: Receiver, django_capture_on_commit_callbacks: Any, monkeypatch: Any
) -> None:
    class NoneLeft(Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    channel_to(owner, desk.json)
    with monkeypatch.context() as patch:
        patch.setattr(raising, "threading", SimpleNamespace(Thread=NoneLeft))
        with django_capture_on_commit_callbacks(execute=True):
            tell(account)
    assert AlertDelivery.objects.count() == 1
    assert raising._asking.acquire(blocking=False)
    raising._asking.release()
