"""Getting in by the pages: one door, two steps where a person wants them, and nothing told to strangers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pyotp
import pytest
import time_machine
from django.contrib.auth.tokens import default_token_generator
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.models import AuditEntry, Role, SignIn, User
from tests.support.access import second_factor_of
from tests.support.demo import PASSWORD, person

pytestmark = pytest.mark.django_db
NEW = "another long sentence"


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    cache.clear()


@pytest.fixture
def owner() -> User:
    return person("owner@vibex.local")


def give(client: Client, email: str = "owner@vibex.local", password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/sign-in/", {"username": email, "password": password, **more})


def test_who_has_the_password_is_in_and_the_sign_in_is_on_record(client: Client, owner: User) -> None:
    answer = client.post(
        "/sign-in/?next=/alerts/",
        {"username": "Owner@Vibex.local", "password": PASSWORD, "next": "/alerts/"},
        headers={"user-agent": "Firefox/140 on Linux"},
    )
    assert (answer.status_code, answer["Location"]) == (302, "/alerts/")
    row = SignIn.objects.get()
    assert (row.user, row.kind, row.agent) == (owner, "session", "Firefox/140 on Linux")
    assert row.session_key == client.session.session_key
    assert row.confirmed is not None, "the password was given just now"
    assert client.get("/profile/").status_code == 200


def test_nobody_learns_whether_an_address_is_known(client: Client, owner: User) -> None:
    pages = [give(client, email, "wrong password").content.decode() for email in (owner.email, "x@vibex.local")]
    plain = [re.sub(r'value="[^"]*"', "", page) for page in pages]
    assert plain[0] == plain[1]
    assert "do not belong together" in plain[0]


@pytest.mark.parametrize(
    "wanted", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)", "no-name", "logout", "a.b"]
)
def test_nobody_is_sent_to_another_host_nor_to_a_name(client: Client, owner: User, wanted: str) -> None:
    assert give(client, next=wanted)["Location"] == "/"
    assert client.get("/sign-in/", {"next": wanted})["Location"] == "/"
    owner.is_staff = True
    owner.save()
    assert client.get("/admin/login/", {"next": wanted})["Location"] == "/admin/"


@pytest.mark.parametrize("address", ["/", "/alerts/", "/alerts/count/", "/profile/", "/password/", "/approvals/"])
def test_what_a_person_sees_is_kept_by_nobody(client: Client, owner: User, address: str) -> None:
    assert "no-store" not in client.get("/favicon.ico").get("Cache-Control", "")
    give(client)
    answer = client.get(address)
    assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True)


def test_too_many_tries_are_refused_with_the_time_to_wait(client: Client, owner: User, settings: Any) -> None:
    settings.SIGN_IN_RATE = (2, 60)
    for _ in range(2):
        assert give(client, password="wrong password").status_code == 200
    refused = give(client)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 61
    assert "Too many" in refused.content.decode()
    assert not SignIn.objects.exists()


def test_with_a_second_factor_the_password_alone_opens_nothing(client: Client, owner: User) -> None:
    secret, _ = second_factor_of(owner)
    page = give(client, next="/alerts/").content.decode()
    assert 'name="code"' in page
    assert PASSWORD not in page
    assert client.get("/profile/").status_code == 302
    wrong = client.post("/sign-in/", {"code": "000000", "next": "/alerts/"})
    assert "wrong" in wrong.content.decode()
    with time_machine.travel(timezone.now() + timezone.timedelta(seconds=40), tick=False):
        answer = client.post("/sign-in/", {"code": pyotp.TOTP(secret).now(), "next": "/alerts/"})
    assert answer["Location"] == "/alerts/"
    assert SignIn.objects.filter(user=owner).count() == 1


def test_a_recovery_code_does_as_well_and_counts_once(client: Client, owner: User) -> None:
    _, codes = second_factor_of(owner)
    give(client)
    assert client.post("/sign-in/", {"code": codes[0]})["Location"] == "/"
    other = Client()
    give(other)
    assert other.post("/sign-in/", {"code": codes[0]}).status_code == 200


def test_the_second_step_needs_the_first_in_the_same_browser_and_not_long_ago(client: Client, owner: User) -> None:
    _, codes = second_factor_of(owner)
    assert client.post("/sign-in/", {"code": codes[0]})["Location"] == "/sign-in/"
    with time_machine.travel(timezone.now(), tick=False) as clock:
        give(client)
        clock.shift(301)
        assert client.post("/sign-in/", {"code": codes[0]})["Location"] == "/sign-in/"
    give(client)
    owner.set_password(NEW)
    owner.save()
    assert client.post("/sign-in/", {"code": codes[0]})["Location"] == "/sign-in/"
    assert not SignIn.objects.exists()


def test_signing_out_ends_the_sign_in_and_no_link_can_do_it(client: Client, owner: User) -> None:
    give(client)
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert SignIn.objects.get().ended is not None
    assert client.get("/profile/").status_code == 302


# -- the admin has no door of its own ------------------------------------------------------------------------------------


def test_the_admin_sends_to_the_sign_in_page_and_back(client: Client) -> None:
    person("boss@vibex.local", is_staff=True, is_superuser=True)
    asked = client.get("/admin/accounts/user/", follow=True)
    assert [where for where, _ in asked.redirect_chain][-1].startswith("/sign-in/?next=/admin/accounts/user/")
    assert client.post("/admin/login/", {"username": "boss@vibex.local", "password": PASSWORD})["Location"].startswith(
        "/sign-in/"
    )
    assert not SignIn.objects.exists()
    assert give(client, "boss@vibex.local", next="/admin/accounts/user/")["Location"] == "/admin/accounts/user/"
    assert client.get("/admin/accounts/user/").status_code == 200


def test_who_is_no_staff_is_refused_and_not_sent_round_in_circles(client: Client, owner: User) -> None:
    give(client)
    assert client.get("/admin/", follow=True).status_code == 403


def test_the_admin_changes_passwords_and_signs_out_where_the_pages_do(client: Client) -> None:
    person("boss@vibex.local", is_staff=True, is_superuser=True)
    give(client, "boss@vibex.local")
    assert client.get("/admin/password_change/")["Location"] == "/password/"
    assert client.post("/admin/logout/")["Location"] == "/sign-in/"
    assert SignIn.objects.get().ended is not None


# -- a forgotten password, and registering -------------------------------------------------------------------------------


def link(user: User) -> str:
    return f"/password/reset/{urlsafe_base64_encode(force_bytes(user.pk))}/{default_token_generator.make_token(user)}/"


def test_a_mailed_link_sets_a_password_once_without_any_cookie_from_before(client: Client, owner: User) -> None:
    give(client)
    owner.refresh_from_db()  # a link is void once somebody has signed in after it
    address = link(owner)
    assert Client().get(address).status_code == 200
    new = {"password": NEW, "again": NEW}
    assert Client().post(address, new)["Location"] == "/sign-in/"
    assert client.get("/profile/").status_code == 302, "all sign-ins ended"
    assert give(Client(), password=NEW).status_code == 302
    again = Client().post(address, new)
    assert (again.status_code, "not valid" in again.content.decode()) == (200, True)


@pytest.mark.parametrize("given", [{"password": NEW, "again": NEW + "x"}, {"password": "short", "again": "short"}, {}])
def test_a_weak_or_mistyped_new_password_changes_nothing(client: Client, owner: User, given: dict[str, str]) -> None:
    answer = client.post(link(owner), given)
    assert (answer.status_code, 'role="alert"' in answer.content.decode()) == (200, True)
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


@pytest.mark.parametrize("address", ["/password/reset/x/y/", "/password/reset/OTk5/abc-def/"])
def test_a_link_that_was_made_up_sets_nothing(client: Client, owner: User, address: str) -> None:
    assert "not valid" in client.post(address, {"password": NEW, "again": NEW}).content.decode()


def test_a_link_is_asked_for_alike_by_everybody(client: Client, owner: User, settings: Any, mailoutbox: Any) -> None:
    settings.EMAIL_URL, settings.PUBLIC_URL = "smtp://mail", "https://vibex.example"
    pages = {client.post("/password/forgotten/", {"email": email}).content for email in (owner.email, "x@vibex.local")}
    assert len(pages) == 1


def test_without_mail_the_page_says_what_to_do(client: Client, owner: User, settings: Any) -> None:
    settings.EMAIL_URL = None
    assert "reset_password" in client.post("/password/forgotten/", {"email": owner.email}).content.decode()


def test_people_register_only_where_they_may_and_may_only_look_then(client: Client, settings: Any) -> None:
    form = {"email": "new@vibex.local", "password": NEW, "again": NEW}
    assert client.post("/register/", form).status_code == 404
    assert "/register/" not in client.get("/sign-in/").content.decode()
    settings.FEATURES = replace(settings.FEATURES, registration=True)
    assert client.post("/register/", form)["Location"] == "/sign-in/"
    made = User.objects.get(email="new@vibex.local")
    assert list(made.groups.values_list("name", flat=True)) == [Role.VIEWER]
    again = client.post("/register/", form)
    assert again["Location"] == "/sign-in/", "a known address is answered alike"
    assert User.objects.count() == 1


# -- one's own password -------------------------------------------------------------------------------------------------


def test_a_changed_password_ends_all_other_sign_ins_and_keeps_this_one(client: Client, owner: User) -> None:
    other = Client()
    for each in (client, other):
        give(each)
    wrong = {"old": "wrong password", "password": NEW, "again": NEW}
    assert "wrong" in client.post("/password/", wrong).content.decode()
    assert client.post("/password/", {**wrong, "old": PASSWORD})["Location"] == "/profile/"
    assert client.get("/profile/").status_code == 200
    assert other.get("/profile/").status_code == 302
    assert SignIn.objects.filter(ended=None).count() == 1
    assert AuditEntry.objects.filter(action="password-change", actor=owner).exists()


@pytest.mark.parametrize("value", ["\0", "x" * 5000, "𝒳\u202eé", "1" * 40, "' OR 1=1 --", "[]"])
def test_whatever_is_typed_into_a_door_is_answered(client: Client, owner: User, settings: Any, value: str) -> None:
    settings.SIGN_IN_RATE = (1000, 60)
    names = ("username", "password", "code", "next", "email", "again", "old", "confirm_password", "confirm_code")
    form = dict.fromkeys(names, value)
    second_factor_of(owner)
    give(client)
    for address in ("/sign-in/", "/password/forgotten/", f"/password/reset/{value[:9]}/{value[:9]}/"):
        assert client.post(address, form).status_code < 500, address
    client.force_login(owner)
    own = ("/password/", "/confirm/", "/profile/", "/profile/keys/", "/profile/second-factor/remove/")
    for address in (*own, f"/profile/keys/{'9' * 30}/revoke/", f"/profile/sign-ins/{'9' * 30}/end/"):
        assert client.post(address, form).status_code < 500, address
    client.force_login(person("other@vibex.local"))
    assert client.post("/profile/second-factor/", form).status_code < 500
    assert owner.check_password(PASSWORD)
