"""Closed by default: every route of the installation is walked, as nobody and as somebody else.

A route that is new is walked too. Where nobody has said whose the object in its address is, the walk fails.
"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.access.acts import Act
from accounts.models import Bot, Role, User
from accounts.services.api_keys import api_key_create
from tests.api.isolation_kit import (
    ADMIN_OPEN,
    OPEN,
    bodies_that_name_an_object,
    browser_of,
    closed,
    parameters,
    said,
    seen_wrongly,
    send,
    word_of,
    wrong_for_a_stranger,
)
from tests.support.demo import Demo, person
from tests.support.walk import (
    EVERYBODYS,
    MARK,
    METHODS,
    WORDS,
    Route,
    addresses,
    admin_address,
    bobs_house,
    books,
    keys_of,
    own_routes,
    routes,
)

STAFF_SEES = ("accounts", "audit", "balance", "bots", "cycles", "decisions", "diary", "incidents", "interactions")
STAFF_SEES += ("orders", "positions", "trades")
"""What staff with `accounts.view_any` reads of others. Keys, sign-ins, jobs and alerts are a person's own."""

API = [route for route in own_routes() if route.api]
ACTING = [(route, method, act) for route in API for method, act in route.acts.items()]


@pytest.fixture
def bob() -> Demo:
    return bobs_house()


@pytest.fixture
def keys(bob: Demo) -> dict[str, int]:
    return keys_of(bob)


@pytest.fixture
def anna(bob: Demo) -> Client:
    """Return the browser of a trader with nothing of her own, who has just given her password again."""
    return browser_of(person("anna@vibex.local"))


# -- every route has a rule -------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_every_route_says_whose_its_objects_are(keys):
    assert len(own_routes()) > 130
    lost = []
    for route in own_routes():
        try:
            addresses(route, keys)
        except LookupError as fault:
            lost.append(str(fault))
    assert lost == []


def test_no_rule_is_about_a_route_that_there_is_not():
    there = {route.pattern for route in routes()}
    assert {*OPEN, *ADMIN_OPEN, *WORDS, *EVERYBODYS} - there == set()


def test_what_needs_no_sign_in_is_what_is_named_here():
    unknown = {route.pattern for route, _, act in ACTING if act is Act.OPEN and route.pattern not in OPEN}
    assert unknown == set()


# -- nobody ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_promise_9_closed_by_default_nobody_gets_anything_without_signing_in(client, keys):
    wrong = []
    for route in own_routes():
        if route.pattern not in OPEN:
            for address in addresses(route, keys):
                wrong += closed(client, route, address, ("get", "post"))
    assert wrong == []


@pytest.mark.ci
@pytest.mark.django_db
def test_nobody_changes_anything_without_signing_in_whatever_the_method(client, keys):
    before, wrong = books(), []
    for route in own_routes():
        if route.pattern not in OPEN:
            for address in addresses(route, keys):
                wrong += closed(client, route, address, ("put", "patch", "delete"))
    for route in routes():
        if route.admin and route.pattern not in ADMIN_OPEN:
            wrong += closed(client, route, admin_address(route), ("get", "post"))
    assert wrong == []
    assert books() == before


@pytest.mark.ci
@pytest.mark.django_db
def test_what_is_open_tells_nothing_of_anybody(client, keys):
    for route in own_routes():
        if route.pattern in OPEN:
            for address in addresses(route, keys):
                for method in METHODS:
                    assert MARK not in said(send(client, method, address)), address


# -- somebody else -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_promise_9_closed_by_default_nobody_finds_what_is_anothers(anna, keys):
    assert seen_wrongly(anna, [route for route in own_routes() if route.objects], keys) == []


@pytest.mark.ci
@pytest.mark.django_db
def test_promise_9_closed_by_default_nothing_of_anothers_is_in_a_list_or_page(anna, keys):
    assert seen_wrongly(anna, [route for route in own_routes() if not route.objects], keys) == []


@pytest.mark.ci
@pytest.mark.django_db
def test_nobody_changes_what_is_anothers(anna, keys):
    before = books()
    wrong = [
        wrong_for_a_stranger(route, method, address, send(anna, method, address))
        for route in own_routes()
        if route.objects and route.pattern not in EVERYBODYS
        for address in addresses(route, keys)
        for method in METHODS[1:]
    ]
    assert [each for each in wrong if each] == []
    after = books()
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}


@pytest.mark.ci
@pytest.mark.django_db
def test_no_filter_finds_what_is_anothers(anna, keys):
    """Every list, narrowed by every parameter that names an object, to one of Bob's."""
    asked = 0
    for path, name in parameters():
        word = word_of(name)
        address = f"/{path.strip('/')}/?{name}={keys[word]}"
        answer = anna.get(address)
        asked += 1
        assert answer.status_code in (200, 400, 404), address
        assert MARK not in said(answer), address
        if answer.status_code == 200 and isinstance(answer.json(), dict):
            assert not answer.json().get("results"), address
    assert asked > 20


@pytest.mark.ci
@pytest.mark.django_db
def test_no_body_makes_something_of_what_is_anothers(anna, bob):
    """Those that name another object: on whose account a bot is made, and which alerts are acknowledged."""
    whose = [("/api/v1/alerts/acknowledge-all/", "account"), ("/api/v1/bots/", "account")]
    assert bodies_that_name_an_object() == whose
    bot = {"account": bob.account.pk, "name": "mine", "model": "rules/trend", "symbols": ["BTCUSDT"], "interval": "3m"}
    made = anna.post("/api/v1/bots/", {**bot, "timeframes": ["3m", "15m"]}, content_type="application/json")
    assert made.status_code in (400, 404), made.content
    assert not Bot.objects.filter(name="mine").exists()
    before = books()
    named = {"account": bob.account.pk}
    told = anna.post("/api/v1/alerts/acknowledge-all/", named, content_type="application/json")
    assert told.json() == {"acknowledged": 0}
    assert books() == before


@pytest.mark.ci
@pytest.mark.django_db
@pytest.mark.parametrize("key", [2**63, 10**19 - 1, 10**30], ids=["64 bits", "19 digits", "31 digits"])
def test_an_id_beyond_every_column_is_not_there(bob, key):
    client = browser_of(bob.user)
    huge = dict.fromkeys(keys_of(bob), key)
    wrong = [
        (method, address, answer.status_code)
        for route in own_routes()
        if route.objects and route.pattern not in EVERYBODYS
        for address in addresses(route, huge)
        for method in ("get", "post")
        if (answer := send(client, method, address)).status_code not in (404, 405)
    ]
    assert wrong == []


# -- scopes and roles --------------------------------------------------------------------------------------------------

NEITHER = ["read", "admin"]
OTHER_THAN = {Act.END: NEITHER, Act.TRADE: NEITHER, Act.NOTE: NEITHER, Act.MANAGE: ["read", "trade"]}


@pytest.mark.ci
@pytest.mark.django_db
def test_a_key_does_nothing_that_its_scopes_do_not_hold(bob, keys):
    before, wrong = books(), []
    for scopes in (["read"], ["read", "trade"], ["read", "admin"]):
        _, text = api_key_create(user=bob.user, name="-".join(scopes), scopes=scopes, expires=None, actor=bob.user)
        for route, method, act in ACTING:
            if act in OTHER_THAN and not {"trade" if act is not Act.MANAGE else "admin"} & set(scopes):
                for address in addresses(route, keys):
                    answer = send(Client(), method, address, headers={"Authorization": f"Api-Key {text}"})
                    if answer.status_code != 403 or answer.json()["code"] != "scope":
                        wrong.append((scopes, method, address, answer.status_code))
    assert wrong == []
    assert books() == before


@pytest.mark.ci
@pytest.mark.django_db
def test_who_only_looks_changes_nothing_of_their_own(bob, keys):
    bob.user.groups.set(Group.objects.filter(name=Role.VIEWER))
    client = browser_of(User.objects.get(pk=bob.user.pk))
    before, wrong = books(), []
    for route, method, act in ACTING:
        if act in (Act.TRADE, Act.NOTE, Act.MANAGE):
            for address in addresses(route, keys):
                answer = send(client, method, address)
                if answer.status_code != 403 or answer.json()["code"] != "role":
                    wrong.append((method, address, answer.status_code))
    assert wrong == []
    assert books() == before


@pytest.mark.ci
@pytest.mark.django_db
def test_staff_that_may_see_all_sees_it_and_does_nothing_to_it(keys):
    clerk = person("clerk@vibex.local", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_any", content_type__app_label="accounts"))
    client = browser_of(clerk)
    before, wrong = books(), []
    for word in STAFF_SEES:
        assert client.get(f"/api/v1/{word}/{keys[word]}/").status_code == 200, word
    for route, method, _ in ACTING:
        if route.objects:
            for address in addresses(route, keys):
                answer = send(client, method, address)
                if answer.status_code not in (403, 404):
                    wrong.append((method, address, answer.status_code))
    assert wrong == []
    assert books() == before


# -- the admin ---------------------------------------------------------------------------------------------------------


def admin_methods(route: Route) -> tuple[str, ...]:
    """Return what is sent to a route of the admin: nobody posts to a history or to what only leads elsewhere."""
    return ("get",) if route.pattern.endswith(("/history/", "<path:object_id>/")) else ("get", "post")


@pytest.mark.ci
@pytest.mark.django_db
def test_the_admin_is_for_staff_alone(bob):
    own, before = browser_of(bob.user), books()
    for route in routes():
        if route.admin and route.pattern not in {*ADMIN_OPEN, "admin/logout/"}:
            for method in admin_methods(route):
                answer = send(own, method, admin_address(route))
                assert answer.status_code in (302, 403, 404, 405), route.pattern
                assert MARK not in said(answer), route.pattern
    assert books() == before


@pytest.mark.ci
@pytest.mark.django_db
def test_staff_without_a_right_to_a_table_does_not_see_it(bob):
    clerk = browser_of(person("clerk@vibex.local", is_staff=True))
    before, tables = books(), 0
    for route in routes():
        parts = route.pattern.split("/")
        if route.admin and len(parts) > 3 and parts[1] not in ("r", "password_change"):
            for method in admin_methods(route):
                answer = send(clerk, method, admin_address(route))
                assert answer.status_code in (302, 403, 404, 405), (method, route.pattern, answer.status_code)
                assert MARK not in said(answer), route.pattern
            tables += 1
    assert tables > 200
    assert books() == before
