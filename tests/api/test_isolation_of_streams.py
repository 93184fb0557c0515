"""Closed by default: the sign-in tells nothing, and every stream is opened as nobody and as somebody else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from accounts.access.acts import ALL_SCOPES, Access
from accounts.access.tickets import ticket_make
from accounts.models import SignIn
from accounts.services.api_keys import api_key_create
from accounts.services.sign_ins import sign_in_begin, sign_in_end
from tests.support.demo import Demo, person
from tests.support.walk import MARK, Route, addresses, bobs_house, keys_of
from trading.tests.listening import Listener, cookie_of, in_one_transaction, listening
from vibex.routing import websocket


@pytest.fixture
def bob() -> Demo:
    return bobs_house()


@pytest.fixture
def keys(bob: Demo) -> dict[str, int]:
    return keys_of(bob)


# -- the sign-in -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_signing_in_says_nothing_about_who_exists(client):
    person("alice@vibex.local")
    wrong = {"username": "alice@vibex.local", "password": "wrong"}
    unknown = {"username": "nobody@vibex.local", "password": "wrong"}
    pages = [client.post("/sign-in/", form).content.decode() for form in (wrong, unknown)]
    first, second = (re.sub(r'value="[^"]*"', "", page) for page in pages)
    assert first == second


@pytest.mark.django_db
def test_signing_in_never_leads_to_another_house(client):
    person("alice@vibex.local")
    form = {"username": "Alice@vibex.local", "password": "correct horse battery", "next": "https://evil.example/"}
    assert client.post("/sign-in/", form)["Location"] == "/"


@pytest.mark.django_db
def test_signing_out_needs_a_post(client):
    client.force_login(person("alice@vibex.local"))
    assert client.get("/sign-out/").status_code == 405
    client.post("/sign-out/")
    assert client.get("/").status_code == 302


# -- streams -----------------------------------------------------------------------------------------------------------

STREAMS = {
    "ws/trading-events/": "not-found",
    "ws/market-data/": None,
    "ws/positions/": "not-found",
    "ws/bots/<int:bot_id>/stream/": 4004,
    "": 4004,
}
"""What a stranger hears who asks for Bob's: the code of an error, or of the end; None where prices are all there is."""


def stream_addresses(keys: dict[str, int]) -> dict[str, str]:
    """Return an address of each stream, by its route. Whatever is no stream is below the last."""
    found = {
        str(each.pattern): addresses(Route(str(each.pattern), each.callback), keys)[0] for each in websocket.routes
    }
    return {route: "/ws/nothing/" if address == "/" else address for route, address in found.items()}


@pytest.mark.django_db
def test_every_stream_is_closed_to_who_is_not_known(bob, keys, monkeypatch):
    in_one_transaction(monkeypatch)
    ended = sign_in_begin(user=bob.user, kind="tokens", address=None, agent="a phone")
    tickets = [ticket_make(Access("tokens", ALL_SCOPES, ended)) for _ in range(len(STREAMS))]
    cookie, (_, key) = cookie_of(bob.user), api_key_create(
        user=bob.user, name="in an address", scopes=["read"], expires=None, actor=bob.user
    )  # fmt: skip
    sign_in_end(sign_in=ended, actor=bob.user, reason="lost")
    found = stream_addresses(keys)
    assert found.keys() == STREAMS.keys(), "a new stream without a rule"

    async def opened(listener: Listener) -> bool:
        try:
            return await listener.open()
        finally:
            await listener.leave()

    async def scene() -> list[str]:
        let_in = []
        for address in found.values():
            tries = [
                Listener(address),
                Listener(address, "sessionid=made-up"),
                Listener(address, cookie, origin="https://evil.example"),
                Listener(address, cookie, origin=""),
                Listener(f"{address}?ticket={tickets.pop()}"),
                Listener(f"{address}?ticket={key}"),
                Listener(f"{address}?key={key}", authorization=f"Api-Key {key}"),
                Listener(address, authorization="Bearer nonsense"),
            ]
            let_in += [f"{address} {number}" for number, one in enumerate(tries) if await opened(one)]
        return let_in

    assert async_to_sync(scene)() == []
    SignIn.objects.filter(kind="session").update(ended="2026-01-01T00:00:00Z")
    assert not async_to_sync(opened)(Listener("/ws/trading-events/", cookie))


@pytest.mark.ci
@pytest.mark.django_db
def test_every_stream_is_closed_to_strangers(bob, keys, monkeypatch):
    """What each stream tells, and to whom, is in trading/tests/test_streams."""
    in_one_transaction(monkeypatch)
    cookie = cookie_of(person("mallory@vibex.local"))

    async def heard(address: str, **wanted: Any) -> dict[str, Any]:
        async with listening(address, cookie) as listener:
            return await listener.subscribe(**wanted)

    for route, address in stream_addresses(keys).items():
        if STREAMS[route]:
            assert async_to_sync(heard)(address, accounts=[bob.account.pk])["code"] == STREAMS[route], address
        if route in ("ws/trading-events/", "ws/positions/"):
            everything = async_to_sync(heard)(address)
            assert everything["type"] == "snapshot"
            assert MARK not in str(everything)
            assert everything["positions"] == []
