"""Browsers and programs that are signed in: listed, ended, and over at once."""

from datetime import timedelta
from importlib import import_module

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Role, SignIn
from accounts.services.sign_ins import sign_in_begin, sign_in_end, sign_ins_end, sign_ins_of, sign_ins_tidy
from accounts.tests.access_kit import NEW, PASSWORD, get, key_of, post, session_row, somebody, tokens_of

pytestmark = pytest.mark.django_db
SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


@pytest.fixture
def anna():
    return somebody()


def browser_of(user, **headers) -> Client:
    """Return a browser whose session is on record, as after the page of signing in."""
    browser = Client(**headers)
    browser.force_login(user)
    get(browser, "me/")
    return browser


def test_a_session_that_is_older_than_the_records_is_recorded_once_with_nothing_confirmed(anna):
    browser = Client(headers={"User-Agent": "Firefox\x00" + "x" * 300})
    browser.force_login(anna)
    for _ in range(3):
        assert get(browser, "me/").json()["access"]["confirmed_until"] is None
    row = SignIn.objects.get()
    assert (row.kind, row.session_key) == ("session", browser.session.session_key)
    assert (row.address, len(row.agent), row.agent[:8]) == ("127.0.0.1", 200, "Firefoxx")


def test_person_and_sign_in_of_a_session_cost_one_query_besides_the_session(anna, django_assert_num_queries):
    browser = browser_of(anna)
    with django_assert_num_queries(2):  # session, person with sign-in
        assert browser.get("/api/v1/auth/nowhere/").status_code == 404
        from accounts.services.sign_ins import session_person

        session_person(SessionStore(browser.session.session_key))


def test_an_anonymous_visitor_costs_nothing(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        client.get("/api/v1/health/live/")


@pytest.mark.ci
def test_a_sign_in_is_seen_at_most_once_a_minute(anna):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        first = timezone.now()
        browser, access = browser_of(anna), tokens_of(anna)["access"]
        clock.shift(59)
        get(browser, "me/"), get(browser, "me/", bearer=access)
        assert set(SignIn.objects.values_list("seen", flat=True)) == {first}
        clock.shift(1)
        get(browser, "me/"), get(browser, "me/", bearer=access)
        assert set(SignIn.objects.values_list("seen", flat=True)) == {first + timedelta(minutes=1)}


def test_the_list_has_ones_own_and_says_which_one_asks(client, anna):
    browser_of(anna)
    tokens_of(somebody("other@example.com", Role.OPERATOR))
    access = tokens_of(anna)["access"]
    rows = get(client, "sign-ins/", bearer=access).json()["results"]
    assert {(row["kind"], row["current"]) for row in rows} == {("tokens", True), ("session", False)}
    assert not {"session_key", "refresh_id"} & set(rows[0])
    only = get(client, "sign-ins/?kind=session", bearer=access).json()["results"]
    assert [row["kind"] for row in only] == ["session"]
    assert get(client, "sign-ins/?kind=phone", bearer=access).status_code == 400


def test_ending_a_browser_ends_its_session_at_once(client, anna):
    browser, access = browser_of(anna), tokens_of(anna)["access"]
    row = session_row(anna)
    assert post(client, f"sign-ins/{row.pk}/", bearer=access, method="delete").status_code == 204
    assert get(browser, "me/").status_code in (401, 403)
    assert not SessionStore().exists(row.session_key)
    assert get(client, f"sign-ins/{row.pk}/", bearer=access).status_code == 404
    row.refresh_from_db()
    assert row.end_reason == "ended by the person"
    assert AuditEntry.objects.filter(action="sign-in-end", actor=anna, object_id=row.pk).count() == 1


def test_a_row_that_was_ended_signs_out_even_where_the_session_lives_on(anna):
    browser = browser_of(anna)
    SignIn.objects.update(ended=timezone.now())
    assert get(browser, "me/").status_code in (401, 403)
    assert SESSION_KEY not in browser.session


def test_another_persons_sign_in_does_not_exist(client, anna):
    other = somebody("other@example.com", Role.OPERATOR)
    theirs, access = tokens_of(other)["access"], tokens_of(anna)["access"]
    row = SignIn.objects.get(user=other)
    for method in ("get", "delete"):
        assert post(client, f"sign-ins/{row.pk}/", bearer=access, method=method).status_code == 404
    assert get(client, "me/", bearer=theirs).status_code == 200


@pytest.mark.ci
def test_all_others_are_ended_from_a_program_and_from_a_browser(client, anna):
    browser, access, other = browser_of(anna), tokens_of(anna)["access"], tokens_of(anna)["access"]
    theirs = tokens_of(somebody("other@example.com"))["access"]
    assert post(client, "sign-ins/end-others/", bearer=access).json() == {"ended": 2}
    assert get(client, "me/", bearer=other).status_code == 401
    assert get(browser, "me/").status_code in (401, 403)
    assert {get(client, "me/", bearer=each).status_code for each in (access, theirs)} == {200}
    browser = browser_of(anna)
    assert post(browser, "sign-ins/end-others/").json() == {"ended": 1}
    assert get(browser, "me/").status_code == 200


def test_a_browser_acts_only_with_the_token_of_a_page(anna):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(anna)
    answer = post(browser, "sign-ins/end-others/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")


def test_signing_out_over_the_api_ends_the_session(anna):
    browser = browser_of(anna)
    assert post(browser, "logout/").status_code == 204
    assert get(browser, "me/").status_code in (401, 403)
    assert session_row(anna).end_reason == "signed out"


@pytest.mark.ci
def test_signing_out_on_the_page_ends_the_sign_in(anna):
    browser = browser_of(anna)
    browser.post("/sign-out/")
    assert session_row(anna).ended is not None


def test_a_new_password_keeps_this_browser_and_ends_all_else_but_keys(client, anna):
    browser, access = browser_of(anna), tokens_of(anna)["access"]
    _, key = key_of(anna)
    post(client, "confirm/", {"password": PASSWORD}, key=key)
    before = session_row(anna).session_key
    assert post(browser, "password/change/", {"old": PASSWORD, "new": NEW}).status_code == 204
    assert get(browser, "me/").status_code == 200
    row = session_row(anna)
    assert row.session_key == browser.session.session_key != before
    assert (row.ended, SignIn.objects.filter(kind="session").count()) == (None, 1)
    assert get(client, "me/", bearer=access).status_code == 401
    assert get(client, "me/", key=key).json()["access"]["confirmed_until"] is None


def test_two_rows_of_one_session_end_together(anna):
    browser = browser_of(anna)
    first = session_row(anna)
    sign_in_begin(user=anna, kind="session", address=None, agent="", session_key=first.session_key)
    assert sign_in_end(sign_in=first, actor=anna, reason="test")
    assert not SignIn.objects.filter(ended__isnull=True).exists()
    assert get(browser, "me/").status_code in (401, 403)


@pytest.mark.parametrize("address", ["nonsense", "", None, "1.2.3.4.5", "fe80::1%eth0"])
def test_an_address_that_is_none_is_not_stored(anna, address):
    row = sign_in_begin(user=anna, kind="tokens", address=address, agent="")
    row.refresh_from_db()
    assert row.address == ("fe80::1" if address and "%" in address else None)


@pytest.mark.ci
def test_what_nobody_used_for_two_weeks_is_over_and_is_tidied_away(anna):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        browser_of(anna), tokens_of(anna)
        assert sign_ins_of(anna).count() == 2
        clock.shift(timedelta(days=15))
        assert sign_ins_of(anna).count() == 0
        sign_ins_tidy()
    from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

    assert set(SignIn.objects.values_list("end_reason", flat=True)) == {"not used for two weeks"}
    assert not OutstandingToken.objects.exists()


def test_streams_of_the_person_are_told_when_a_sign_in_ends(anna, monkeypatch, django_capture_on_commit_callbacks):
    told = []
    monkeypatch.setattr("accounts.services.sign_ins.publish_to_person_on_commit", lambda **about: told.append(about))
    tokens_of(anna)
    assert sign_ins_end(user=anna, actor=None, reason="test") == 1
    assert told == [{"user_id": anna.pk, "kind": "access"}]


def test_a_person_sets_the_zone_of_their_pages_and_no_other_thing(client, anna):
    access = tokens_of(anna)["access"]
    assert (
        post(client, "me/", {"time_zone": "Asia/Tokyo"}, bearer=access, method="patch").json()["time_zone"]
        == "Asia/Tokyo"
    )
    for body in (
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../etc/passwd"},
        {"role": "operator"},
        {"time_zone": ""},
        {},
    ):
        assert post(client, "me/", body, bearer=access, method="patch").status_code == 400
    anna.refresh_from_db()
    assert anna.time_zone == "Asia/Tokyo"


@pytest.mark.ci
@pytest.mark.parametrize("role", list(Role))
def test_role_and_rights_are_told(client, role):
    me = get(client, "me/", bearer=tokens_of(somebody(role=role))["access"]).json()
    assert me["role"] == role
    assert ("trade" in me["rights"]) == (role != Role.VIEWER)
    assert ("trade_live" in me["rights"]) == (role == Role.OPERATOR)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        *(("get", each) for each in ("me/", "keys/", "keys/1/", "sign-ins/", "sign-ins/1/", "second-factor/")),
        *(("post", each) for each in ("logout/", "password/change/", "confirm/", "ticket/", "keys/", "second-factor/")),
        *(("post", f"second-factor/{each}/") for each in ("confirm", "remove")),
        *(("post", "sign-ins/end-others/"), ("delete", "keys/1/"), ("delete", "sign-ins/1/"), ("patch", "me/")),
    ],
)
def test_nobody_gets_at_anything_without_signing_in(client, method, address):
    assert post(client, address, method=method).status_code == 401
