"""Closed by default: every route and stream of the installation is walked, as nobody and as somebody else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import User
from tests.support.demo import demo, person
from vibex.asgi import application
from vibex.lib.events import account_group

OPEN = {"sign-in/", "api/v1/health/live/", "api/v1/health/ready/", "api/health/"}
"""All that somebody who is not signed in may see. Nothing is added here without a reason."""

MARK = "alices-secret-book"


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in resolver.url_patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from patterns(each, path)
        else:
            yield path, each


def own_routes() -> list[str]:
    """Return every route outside the admin, whose own permissions are tested below."""
    found = [path for path, _ in patterns(get_resolver())]
    assert len(found) > 20
    return sorted(path for path in found if not path.startswith(("admin/", "__")))


def filled(route: str, key: int) -> str:
    """Return an address of the route with `key` for every object in it."""
    route = re.sub(r"\(\?P<format>[^)]*\)/?\??|\\Z|\$|\^", "", route)
    route = re.sub(r"\(\?P<\w+>[^()]*(\([^()]*\))?[^()]*\)", str(key), route)
    route = re.sub(r"<int:\w+>", str(key), route)
    return "/" + re.sub(r"<str:\w+>|<slug:\w+>", "stop", route).replace("\\.", ".")


def names_an_object(route: str) -> bool:
    return filled(route, 1) != filled(route, 2)


@pytest.fixture
def alice():
    return demo("alice@vibex.local", name=MARK, cycles=3, equity_points=5)


@pytest.fixture
def keys(alice) -> set[int]:
    """Return keys of everything of Alice's, so that an address with one of them is hers."""
    rows = [alice.account, alice.bot, *alice.positions, *alice.cycles, *alice.entries]
    return {row.pk for row in rows}


@pytest.mark.django_db
def test_promise_9_closed_by_default_nobody_gets_anything_without_signing_in(client, alice, keys):
    for address in {filled(route, key) for route in own_routes() if route not in OPEN for key in keys}:
        for method in ("get", "post"):
            answer = getattr(client, method)(address)
            assert answer.status_code in (302, 401, 403), f"{method} {address}: {answer.status_code}"
            assert answer.status_code != 302 or answer["Location"].startswith("/sign-in/")


@pytest.mark.django_db
def test_promise_9_closed_by_default_nobody_sees_what_is_anothers(alice, keys):
    stranger = Client()
    stranger.force_login(person("mallory@vibex.local"))
    for route in own_routes():
        for address in {filled(route, key) for key in keys}:
            answer = stranger.get(address)
            assert MARK not in answer.content.decode(errors="replace"), address
            if names_an_object(route):
                assert answer.status_code in (404, 405), address


@pytest.mark.django_db
@pytest.mark.ci
def test_nobody_changes_what_is_anothers(alice, keys):
    stranger = Client()
    stranger.force_login(person("mallory@vibex.local"))
    for address in {filled(route, key) for route in own_routes() for key in keys}:
        for method in ("post", "put", "patch", "delete"):
            assert getattr(stranger, method)(address).status_code < 500, address
    alice.bot.refresh_from_db()
    assert alice.bot.status == "running"


@pytest.mark.django_db
def test_the_admin_is_for_staff_alone(client, alice):
    client.force_login(alice.user)
    for path in sorted(path for path, _ in patterns(get_resolver()) if path.startswith("admin/")):
        if path in ("admin/login/", "admin/logout/", "admin/jsi18n/"):
            continue
        answer = client.get(filled(path, alice.account.pk))
        assert answer.status_code in (302, 403, 404, 405), path
        assert MARK not in answer.content.decode(), path


@pytest.mark.django_db
def test_staff_without_a_right_to_a_table_does_not_see_it(client, alice):
    client.force_login(person("clerk@vibex.local", is_staff=True))
    assert client.get("/admin/trading/position/").status_code == 403
    assert client.get(f"/admin/accounts/account/{alice.account.pk}/change/").status_code == 403


@pytest.mark.django_db
def test_signing_in_says_nothing_about_who_exists(client, alice):
    wrong = {"username": "alice@vibex.local", "password": "wrong"}
    unknown = {"username": "nobody@vibex.local", "password": "wrong"}
    pages = [client.post("/sign-in/", form).content.decode() for form in (wrong, unknown)]
    first, second = (re.sub(r'value="[^"]*"', "", page) for page in pages)
    assert first == second


@pytest.mark.django_db
def test_signing_in_never_leads_to_another_house(client, alice):
    form = {"username": "Alice@vibex.local", "password": "correct horse battery", "next": "https://evil.example/"}
    assert client.post("/sign-in/", form)["Location"] == "/"


@pytest.mark.django_db
def test_signing_out_needs_a_post(client, alice):
    client.force_login(alice.user)
    assert client.get("/sign-out/").status_code == 405
    client.post("/sign-out/")
    assert client.get("/").status_code == 302


# -- the stream -------------------------------------------------------------------------------------------


def watch(user: User | None, account_id: int, origin: str = "http://localhost") -> WebsocketCommunicator:
    headers = [(b"host", b"localhost"), (b"origin", origin.encode())]
    if user:
        client = Client()
        client.force_login(user)
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={client.session.session_key}".encode()))
    return WebsocketCommunicator(application, f"/ws/account/{account_id}/", headers=headers)


async def accepted(communicator: WebsocketCommunicator) -> bool:
    connected, _ = await communicator.connect()
    await communicator.disconnect()
    return connected


@pytest.mark.django_db(transaction=True)
def test_the_stream_of_an_account_is_for_its_owner(alice):
    stranger = person("mallory@vibex.local")
    assert async_to_sync(accepted)(watch(alice.user, alice.account.pk))
    assert not async_to_sync(accepted)(watch(stranger, alice.account.pk))
    assert not async_to_sync(accepted)(watch(None, alice.account.pk))
    assert not async_to_sync(accepted)(watch(alice.user, 987_654))


@pytest.mark.django_db(transaction=True)
def test_another_site_cannot_open_a_stream_with_the_visitors_cookie(alice):
    assert not async_to_sync(accepted)(watch(alice.user, alice.account.pk, origin="https://evil.example"))


@pytest.mark.django_db(transaction=True)
def test_somebody_who_was_switched_off_has_no_stream(alice):
    stream = watch(alice.user, alice.account.pk)
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    assert not async_to_sync(accepted)(stream)


@pytest.mark.django_db(transaction=True)
def test_the_stream_forwards_what_happens_on_the_account_and_on_no_other(alice):
    event = {"type": "vibex.event", "kind": "cycle", "data": {"id": 7}}

    async def scene(stream: WebsocketCommunicator) -> tuple[dict, bool, dict]:
        await stream.connect()
        layer = get_channel_layer()
        await layer.group_send(account_group(alice.account.pk), event)
        first = await stream.receive_json_from()
        await layer.group_send(account_group(alice.account.pk + 1), event)
        quiet = await stream.receive_nothing()
        await stream.send_to(text_data="{not json")
        alive = await stream.receive_json_from()
        await stream.disconnect()
        return first, quiet, alive

    seen = async_to_sync(scene)(watch(alice.user, alice.account.pk))
    assert seen == ({"kind": "cycle", "data": {"id": 7}}, True, {"kind": "alive"})
