"""A call that names itself acts once, however often it comes."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access.acts import ALL_SCOPES, Access
from accounts.models import IdempotentCall
from accounts.services.calls import call_begin, calls_prune
from accounts.tests import api_kit
from tests.support.demo import account_of, bot_of, person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.api_kit")]


@pytest.fixture(autouse=True)
def _nothing_done():
    api_kit.DONE.clear()


def caller(user) -> APIClient:
    client = APIClient()
    client.force_authenticate(user, Access("key", ALL_SCOPES))
    return client


@pytest.fixture
def bot(db):
    return bot_of(account_of(person()))


def act(bot, what: str, body=None, key: str | None = "one"):
    headers = {} if key is None else {"Idempotency-Key": key}
    return caller(bot.account.owner).post(f"/api/v1/things/{bot.pk}/{what}/", body or {}, headers=headers)


def test_the_same_call_is_answered_as_before_and_does_nothing(bot):
    first, again = act(bot, "end", {"note": "b"}), act(bot, "end", {"note": "b"})
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json() == {"did": "end", "note": "b"}
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == "/there/"
    assert api_kit.DONE == ["end"]


def test_without_a_name_every_call_acts(bot):
    act(bot, "end", key=None)
    act(bot, "end", key=None)
    assert api_kit.DONE == ["end", "end"]


def test_what_lowers_risk_acts_under_its_old_name_from_a_minute_later_on(bot):
    """A script that halts under one name for ever must not be answered with the halt of this morning."""
    act(bot, "end")
    IdempotentCall.objects.update(created=timezone.now() - timedelta(seconds=50))
    assert act(bot, "end").headers["Idempotency-Replayed"] == "true"
    IdempotentCall.objects.update(created=timezone.now() - timedelta(seconds=61))
    assert "Idempotency-Replayed" not in act(bot, "end").headers
    assert api_kit.DONE == ["end", "end"]
    assert act(bot, "end").headers["Idempotency-Replayed"] == "true", "a minute counts from the last time"


@pytest.mark.parametrize(("what", "body"), [("end", {"note": "other"}), ("go", {})])
def test_the_name_of_another_call_is_refused(bot, what, body):
    act(bot, "end")
    answer = act(bot, what, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "key-reused")
    assert api_kit.DONE == ["end"]


def test_names_belong_to_persons(bot):
    other = bot_of(account_of(person("other@vibex.local")))
    act(bot, "end")
    assert act(other, "end").status_code == 200
    assert api_kit.DONE == ["end", "end"]


def test_a_refusal_by_how_things_stand_is_kept(bot):
    first, again = act(bot, "refuse"), act(bot, "refuse")
    assert (first.status_code, again.status_code) == (409, 409)
    assert again.json()["code"] == "over"
    assert again.headers["Content-Type"] == "application/problem+json"
    assert api_kit.DONE == ["refuse"]


def test_a_call_that_failed_is_not_kept(bot):
    assert [act(bot, "fail").status_code for _ in range(2)] == [503, 503]
    assert api_kit.DONE == ["fail", "fail"]


def test_a_call_that_met_a_fault_of_the_code_is_not_kept(bot):
    for _ in range(2):
        with pytest.raises(RuntimeError):
            act(bot, "later")
    assert api_kit.DONE == ["later", "later"]


def test_what_may_raise_risk_and_was_refused_for_a_while_may_come_again(bot):
    assert [act(bot, "go_refused").status_code for _ in range(2)] == [503, 503]
    assert api_kit.DONE == ["go_refused", "go_refused"]


@pytest.mark.parametrize("status", [500, 503])
def test_what_may_raise_risk_and_failed_after_it_had_begun_is_never_done_again(bot, status):
    assert act(bot, "go_job", {"note": str(status)}).status_code == status
    answer = act(bot, "go_job", {"note": str(status)})
    assert (answer.status_code, answer.json()["code"]) == (409, "unknown-outcome")
    assert act(bot, "go_job", {"note": "503"}, key="two").status_code == 503
    assert api_kit.DONE == ["go_job", "go_job"]


def test_what_may_raise_risk_and_met_a_fault_of_the_code_is_never_done_again(bot):
    with pytest.raises(RuntimeError):
        act(bot, "go_broken")
    answer = act(bot, "go_broken")
    assert (answer.status_code, answer.json()["code"]) == (409, "unknown-outcome")
    assert api_kit.DONE == ["go_broken"]


def test_what_lowers_risk_is_told_as_done_although_a_repeated_call_beside_it_failed(bot, monkeypatch):
    """Two of one key are at work at once: the one that fails forgets the key, the other one was done all the same."""
    done = api_kit.Things._done

    def beside(view, name):
        IdempotentCall.objects.all().delete()
        return done(view, name)

    monkeypatch.setattr(api_kit.Things, "_done", beside)
    assert act(bot, "end").status_code == 200
    assert act(bot, "end").status_code == 200


def test_a_call_that_comes_while_the_first_one_is_dropped_is_the_first(bot, monkeypatch):
    user, first = bot.account.owner, IdempotentCall.objects.filter
    call_begin(user=user, key="one", digest="x")

    def dropped_meanwhile(**what):
        found = first(**what)
        if "created__lt" not in what:
            first(user=user).delete()
        return found

    monkeypatch.setattr(IdempotentCall.objects, "filter", dropped_meanwhile)
    monkeypatch.setattr(IdempotentCall.objects, "get", lambda **what: dropped_meanwhile(**what).get())
    assert call_begin(user=user, key="one", digest="x")[1]


def test_a_call_that_was_turned_away_may_come_again_under_its_name(bot):
    assert act(bot, "end", {"note": "\0"}).status_code == 400
    assert act(bot, "end", {"note": "right"}).status_code == 200


def test_an_answer_that_holds_a_secret_is_not_stored_and_not_shown_again(bot):
    assert act(bot, "secret", {"note": "the-secret"}).json()["note"] == "the-secret"
    answer = act(bot, "secret", {"note": "the-secret"})
    assert (answer.status_code, answer.json()["code"]) == (409, "secret-shown-once")
    assert IdempotentCall.objects.get().body is None
    assert api_kit.DONE == ["secret"]


def test_while_the_first_is_worked_on_the_second_is_told_to_wait(bot):
    act(bot, "go")
    IdempotentCall.objects.update(status=None)
    answer = act(bot, "go")
    assert (answer.status_code, answer.json()["code"]) == (409, "still-running")
    assert answer.headers["Retry-After"] == "1"


def test_what_a_process_left_when_it_died_is_never_done_again(bot):
    act(bot, "go")
    IdempotentCall.objects.update(status=None, created=timezone.now() - timedelta(minutes=4))
    answer = act(bot, "go")
    assert (answer.status_code, answer.json()["code"]) == (409, "unknown-outcome")
    assert api_kit.DONE == ["go"]


@pytest.mark.parametrize("ago", [0, 4])
def test_what_lowers_risk_is_done_again_while_nobody_knows_how_it_ended(bot, ago):
    act(bot, "end")
    IdempotentCall.objects.update(status=None, created=timezone.now() - timedelta(minutes=ago))
    assert act(bot, "end").status_code == 200
    assert api_kit.DONE == ["end", "end"]
    assert act(bot, "end").headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", "x" * 121, "with blank"])
def test_a_name_that_is_none_is_refused(bot, key):
    answer = act(bot, "end", key=key)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["errors"]
    assert api_kit.DONE == []


def test_answers_are_kept_for_a_day(bot):
    act(bot, "end", key="old")
    IdempotentCall.objects.update(created=timezone.now() - timedelta(hours=25))
    act(bot, "end", key="new")
    assert act(bot, "end", key="old").status_code == 200
    assert api_kit.DONE == ["end"] * 3
    IdempotentCall.objects.filter(key="new").update(created=timezone.now() - timedelta(hours=25))
    assert calls_prune() == 1
    assert [call.key for call in IdempotentCall.objects.all()] == ["old"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_many_that_come_at_once_one_acts():
    bot = bot_of(account_of(person()))
    told: list[tuple[int, str]] = []

    def call() -> None:
        answer = act(bot, "go")
        told.append((answer.status_code, answer.json().get("code", "")))
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert api_kit.DONE == ["go"]
    assert set(told) <= {(200, ""), (409, "still-running")}
    assert (200, "") in told
