"""Who opens a stream: by cookie from our pages, by header, by a ticket that counts once; and who may still listen."""

from datetime import timedelta

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.test import Client
from django.utils import timezone

from accounts.access.sockets import caller, caller_now, from_allowed_origin, still_in
from accounts.models import ApiKey, SignIn
from accounts.services.api_keys import api_key_revoke
from accounts.services.sign_ins import sign_in_end
from accounts.tests.access_kit import get, key_of, post, session_row, somebody, tokens_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _hosts(settings):
    settings.ALLOWED_HOSTS = ["desk.example.com"]
    settings.CORS_ALLOWED_ORIGINS = ["https://front.example.com"]


@pytest.fixture
def anna():
    return somebody()


def handshake(query: str = "", **headers: str) -> dict:
    given = {"host": "desk.example.com", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {
        "type": "websocket",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        "client": ["192.0.2.7", 5],
    }


def cookie_of(user) -> str:
    browser = Client()
    browser.force_login(user)
    get(browser, "me/", authorization="")
    return f"a=b; sessionid={browser.session.session_key}"


@pytest.fixture
def _local(settings):
    settings.ALLOWED_HOSTS = ["desk.example.com", "testserver"]


@pytest.mark.usefixtures("_local")
@pytest.mark.parametrize(
    "origin", ["https://desk.example.com", "http://desk.example.com:80", "https://front.example.com"]
)
def test_a_browser_listens_from_our_pages_and_those_that_are_named(anna, origin):
    found = caller_now(handshake(cookie=cookie_of(anna), origin=origin))
    assert found is not None
    assert (found.user, found.access.kind, found.access.row) == (anna, "session", session_row(anna))


@pytest.mark.usefixtures("_local")
@pytest.mark.parametrize(
    "origin",
    [
        *(
            "",
            "null",
            "https://evil.example.com",
            "https://desk.example.com.evil.com",
            "https://front.example.com.evil",
        ),
        *("https://desk.example.com:8443", "file://desk.example.com", "https://[", "https://desk.example.com:x"),
    ],
)
@pytest.mark.ci
def test_from_any_other_page_a_cookie_says_nothing(anna, origin):
    assert caller_now(handshake(cookie=cookie_of(anna), **({"origin": origin} if origin else {}))) is None


def test_another_port_of_the_same_machine_is_another_page():
    same = {b"host": b"desk.example.com:3000", b"origin": b"http://desk.example.com:3000"}
    assert from_allowed_origin(same)
    assert not from_allowed_origin(same | {b"origin": b"http://desk.example.com:9000"})


@pytest.mark.usefixtures("_local")
def test_header_and_ticket_need_no_origin(client, anna):
    access = tokens_of(anna)["access"]
    _, key = key_of(anna, "trade")
    by_token = caller_now(handshake(authorization=f"Bearer {access}", origin="https://evil.example.com"))
    by_key = caller_now(handshake(authorization=f"Api-Key {key}"))
    assert (by_token.user, by_token.access.kind) == (anna, "tokens")
    assert (by_key.user, by_key.access.scopes) == (anna, {"read", "trade"})
    assert ApiKey.objects.get().used_from == "192.0.2.7"
    for bearer in ({"bearer": access}, {"key": key}):
        ticket = post(client, "ticket/", **bearer).json()["ticket"]
        found = caller_now(handshake(f"ticket={ticket}"))
        assert (found.user, found.access.kind) == (anna, "tokens" if "bearer" in bearer else "key")


@pytest.mark.usefixtures("_local")
def test_a_ticket_counts_once_and_for_thirty_seconds(client, anna):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        access = tokens_of(anna)["access"]
        first, second = (post(client, "ticket/", bearer=access).json()["ticket"] for _ in range(2))
        assert caller_now(handshake(f"ticket={first}")) is not None
        assert caller_now(handshake(f"ticket={first}")) is None
        clock.shift(31)
        assert caller_now(handshake(f"ticket={second}")) is None


@pytest.mark.ci
@pytest.mark.usefixtures("_local")
def test_a_ticket_of_a_sign_in_that_is_over_opens_nothing(client, anna):
    ticket = post(client, "ticket/", bearer=tokens_of(anna)["access"]).json()["ticket"]
    sign_in_end(sign_in=SignIn.objects.get(), actor=None, reason="test")
    assert caller_now(handshake(f"ticket={ticket}")) is None


@pytest.mark.usefixtures("_local")
def test_a_secret_in_the_address_opens_nothing_whatever_comes_with_it(anna):
    access = tokens_of(anna)["access"]
    _, key = key_of(anna)
    for secret in (access, key):
        for name in ("ticket", "token", "access_token", "api_key", "key", "authorization", "Bearer"):
            for headers in ({}, {"authorization": f"Bearer {access}"}):
                assert caller_now(handshake(f"{name}={secret}", **headers)) is None


@pytest.mark.usefixtures("_local")
def test_a_header_that_is_wrong_is_nobody_even_with_a_cookie_that_is_right(anna):
    scope = handshake(authorization="Bearer x", cookie=cookie_of(anna), origin="https://desk.example.com")
    assert caller_now(scope) is None
    assert caller_now(handshake(authorization="Basic YTpi")) is None


@pytest.mark.parametrize(
    "headers", [{}, {"cookie": "sessionid=\0"}, {"cookie": "=;=;\\"}, {"cookie": "sessionid=nonsense"}, {"cookie": "é"}]
)
def test_nonsense_is_nobody(headers):
    assert caller_now(handshake(origin="https://desk.example.com", **headers)) is None
    assert caller_now({"query_string": b"ticket=\xff&ticket=", "headers": []}) is None
    assert caller_now({}) is None


@pytest.mark.usefixtures("_local")
def test_who_listens_is_out_once_sign_in_key_or_person_is(anna):
    tokens_of(anna)
    row, key = key_of(anna, expires=timezone.now() + timedelta(hours=1))
    by_token = caller_now(handshake(authorization=f"Bearer {tokens_of(anna)['access']}"))
    by_key = caller_now(handshake(authorization=f"Api-Key {key}"))
    by_cookie = caller_now(handshake(cookie=cookie_of(anna), origin="https://desk.example.com"))
    everybody = (by_token, by_key, by_cookie)
    assert [still_in(each).user for each in everybody] == [anna] * 3
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        assert still_in(by_key) is None
    api_key_revoke(key=row, actor=anna)
    assert still_in(by_key) is None
    sign_in_end(sign_in=by_token.access.row, actor=None, reason="test")
    assert still_in(by_token) is None
    type(anna).objects.update(is_active=False)
    assert still_in(by_cookie) is None


@pytest.mark.usefixtures("_local")
def test_a_session_whose_password_was_changed_is_nobodys(anna):
    cookie = cookie_of(anna)
    anna.set_password("another horse entirely")
    anna.save()
    assert caller_now(handshake(cookie=cookie, origin="https://desk.example.com")) is None


@pytest.mark.ci
@pytest.mark.django_db(transaction=True)
def test_a_server_asks_without_holding_its_loop():
    user = somebody()
    _, key = key_of(user)
    found = async_to_sync(caller)(handshake(authorization=f"Api-Key {key}"))
    assert found.user == user
