"""Passwords: changed by who knows the old one, reset by who has the mail or sits at the machine."""

import re
import threading
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Role, SecondFactor, SignIn, User
from accounts.services.passwords import password_reset, reset_link
from accounts.tests.access_kit import NEW, PASSWORD, get, key_of, phone_of, post, somebody, tokens_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna():
    return somebody()


@pytest.fixture
def mails(settings):
    settings.EMAIL_URL, settings.PUBLIC_URL = "smtp://mail.example.com", "https://desk.example.com"
    return mail.outbox


def sent() -> None:
    """Wait until what is being mailed has left."""
    for thread in threading.enumerate():
        if thread.name == "password-mail":
            thread.join()


def parts_of(link: str) -> dict[str, str]:
    uid, token = re.search(r"/password/reset/([^/]+)/([^/]+)/", link).groups()
    return {"uid": uid, "token": token}


def can_sign_in(client, password: str) -> bool:
    return post(client, "login/", {"email": "anna@example.com", "password": password}).status_code == 200


def test_a_changed_password_ends_all_other_sign_ins(client, anna):
    here, other = tokens_of(anna), tokens_of(anna)
    answer = post(client, "password/change/", {"old": PASSWORD, "new": NEW}, bearer=here["access"])
    assert answer.status_code == 204
    assert get(client, "me/", bearer=here["access"]).status_code == 200
    assert get(client, "me/", bearer=other["access"]).status_code == 401
    assert can_sign_in(client, NEW)
    assert not can_sign_in(client, PASSWORD)
    entry = AuditEntry.objects.get(action="password-change")
    assert entry.actor == anna
    assert NEW not in str(vars(entry))


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [("wrong", NEW, 403), (PASSWORD, "short", 400), (PASSWORD, "anna@example.com", 400), (PASSWORD, PASSWORD, 400)],
)
@pytest.mark.ci
def test_a_password_that_is_wrong_weak_or_the_same_changes_nothing(client, anna, old, new, status):
    access = tokens_of(anna)["access"]
    assert post(client, "password/change/", {"old": old, "new": new}, bearer=access).status_code == status
    assert can_sign_in(client, PASSWORD)


@pytest.mark.ci
def test_old_passwords_are_tried_ten_times_a_minute(client, anna):
    access = tokens_of(anna)["access"]
    body = {"old": "wrong", "new": NEW}
    assert [post(client, "password/change/", body, bearer=access).status_code for _ in range(11)][-1] == 429


def test_a_link_is_mailed_and_counts_once(client, anna, mails):
    tokens = tokens_of(anna)
    _, key = key_of(anna)
    assert post(client, "password/reset/", {"email": "Anna@example.com"}).status_code == 202
    sent()
    (message,) = mails
    assert message.to == ["anna@example.com"]
    assert "https://desk.example.com/password/reset/" in message.body
    body = parts_of(message.body) | {"password": NEW}
    assert post(client, "password/reset/confirm/", body | {"password": "short"}).status_code == 400
    assert post(client, "password/reset/confirm/", body).status_code == 204
    assert get(client, "me/", bearer=tokens["access"]).status_code == 401
    assert get(client, "me/", key=key).status_code == 200
    assert can_sign_in(client, NEW)
    again = post(client, "password/reset/confirm/", body | {"password": PASSWORD})
    assert (again.status_code, again.json()["code"]) == (409, "link")


def test_nobody_learns_whether_an_address_is_known(client, anna, mails):
    known = post(client, "password/reset/", {"email": anna.email})
    unknown = post(client, "password/reset/", {"email": "nobody@example.com"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    sent()
    assert len(mails) == 1


def test_nobody_fills_the_mailbox_of_somebody_else(anna, mails):
    with time_machine.travel(timezone.now().replace(minute=1), tick=False) as clock:
        for minute in range(8):
            asking = Client(REMOTE_ADDR=f"192.0.2.{minute}")
            assert post(asking, "password/reset/", {"email": anna.email}).status_code == 202
            clock.shift(60)
        sent()
        assert len(mails) == 5
        clock.shift(900)
        post(Client(), "password/reset/", {"email": anna.email})
        sent()
        assert len(mails) == 6


@pytest.mark.ci
def test_links_are_asked_for_ten_times_a_minute(client, mails):
    for _ in range(10):
        assert post(client, "password/reset/", {"email": "nobody@example.com"}).status_code == 202
    assert post(client, "password/reset/", {"email": "nobody@example.com"}).status_code == 429


def test_a_link_lives_an_hour_and_ends_with_the_next_sign_in(client, anna, settings):
    settings.PUBLIC_URL = "https://desk.example.com"
    with time_machine.travel(timezone.now(), tick=False) as clock:
        late, unused = parts_of(reset_link(anna)), parts_of(reset_link(anna))
        clock.shift(timedelta(minutes=61))
        assert post(client, "password/reset/confirm/", late | {"password": NEW}).json()["code"] == "link"
        fresh = parts_of(reset_link(anna))
        tokens_of(anna)
        for link in (fresh, unused):
            assert post(client, "password/reset/confirm/", link | {"password": NEW}).json()["code"] == "link"


@pytest.mark.parametrize(
    "uid", ["", "MQ", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "é", "____", "LTE", "x" * 64, "\u0000"]
)
@pytest.mark.ci
def test_a_link_that_is_none_is_refused(client, anna, uid):
    answer = post(client, "password/reset/confirm/", {"uid": uid, "token": "c1-abc", "password": NEW})
    assert answer.status_code in (400, 409)
    assert can_sign_in(client, PASSWORD)


def test_where_no_mail_can_be_sent_it_says_what_to_do_instead(client, anna):
    answer = post(client, "password/reset/", {"email": anna.email})
    assert (answer.status_code, answer.json()["code"]) == (409, "no-mail")
    assert "reset_password" in answer.json()["detail"]


@pytest.mark.ci
def test_mail_that_does_not_leave_fails_nobody(client, anna, mails, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert post(client, "password/reset/", {"email": anna.email}).status_code == 202
    sent()
    assert not mails


def told_by(*args, **options) -> str:
    out = StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


@pytest.mark.ci
def test_the_operator_at_the_machine_sets_a_password_that_is_shown_once(client, anna):
    tokens, _ = tokens_of(anna), phone_of(anna)
    told = told_by("reset_password", "Anna@example.com")
    assert get(client, "me/", bearer=tokens["access"]).status_code == 401
    assert SecondFactor.objects.exists()
    told_by("reset_password", anna.email, without_second_factor=True)
    assert not SecondFactor.objects.exists()
    assert not can_sign_in(client, told.split()[-1])
    told = told_by("reset_password", anna.email)
    assert can_sign_in(client, told.split()[-1])


def test_the_operator_at_the_machine_has_a_link_instead(anna, settings):
    with pytest.raises(CommandError, match="PUBLIC_URL"):
        told_by("reset_password", anna.email, link=True)
    settings.PUBLIC_URL = "https://desk.example.com"
    link = parts_of(told_by("reset_password", anna.email, link=True))
    assert password_reset(**link, password=NEW) == anna


def test_people_are_made_with_a_role_and_get_another_one(client):
    told = told_by("add_person", "Bob@Example.com", role="viewer")
    bob = User.objects.get(email="bob@example.com")
    assert [group.name for group in bob.groups.all()] == ["viewer"]
    assert not bob.is_staff
    assert post(client, "login/", {"email": bob.email, "password": told.split()[-1]}).status_code == 200
    told_by("set_role", "bob@example.com", "operator")
    assert [group.name for group in bob.groups.all()] == ["operator"]
    assert AuditEntry.objects.filter(action="role-set").get().after == {"roles": [Role.OPERATOR]}


def test_a_password_is_read_from_a_pipe(monkeypatch, client):
    monkeypatch.setattr("sys.stdin", StringIO(PASSWORD + "\n"))
    assert PASSWORD not in told_by("add_person", "anna@example.com", ask_password=True)
    assert can_sign_in(client, PASSWORD)


@pytest.mark.parametrize(
    "command", [("reset_password", "x@y.zz"), ("set_role", "x@y.zz", "viewer"), ("add_person", "x")]
)
def test_commands_refuse_who_is_not_there_and_what_is_no_address(command):
    with pytest.raises(CommandError):
        told_by(*command)
    assert not SignIn.objects.exists()
    assert not User.objects.exists()
