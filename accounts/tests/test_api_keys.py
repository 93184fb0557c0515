"""Keys of programs: shown once, kept as a digest, bound to scopes, revoked at once."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import ApiKey, AuditEntry, Role, SignIn
from accounts.services.api_keys import MOST, api_key_create
from accounts.tests.access_kit import PASSWORD, get, key_of, long_ago, post, somebody, tokens_of
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna():
    return somebody()


@pytest.fixture
def bearer(anna):
    return tokens_of(anna)["access"]


def test_a_key_is_told_once_and_opens_calls(client, anna, bearer):
    made = post(client, "keys/", {"name": "desk", "scopes": ["trade"]}, bearer=bearer)
    assert made.status_code == 201
    told = made.json()
    assert told["scopes"] == ["read", "trade"]
    assert told["key"].startswith(told["prefix"] + "_")
    me = get(client, "me/", key=told["key"]).json()
    assert (me["email"], me["access"]["kind"], me["access"]["scopes"]) == (anna.email, "key", ["read", "trade"])
    assert me["access"]["confirmed_until"] is None
    secret = told["key"].removeprefix(told["prefix"])
    for answer in (get(client, "keys/", bearer=bearer), get(client, f"keys/{told['id']}/", bearer=bearer)):
        assert secret not in answer.content.decode()
        assert "digest" not in answer.content.decode()


def test_only_a_digest_is_stored_and_nothing_of_it_in_the_audit_log(client, anna, bearer):
    told = post(client, "keys/", {"name": "desk", "scopes": ["read"]}, bearer=bearer).json()
    row = ApiKey.objects.get()
    assert told["key"] not in (row.prefix, row.digest)
    assert len(row.digest) == 64
    entries = AuditEntry.objects.filter(action="api-key-create")
    assert entries.get().after["prefix"] == row.prefix
    assert told["key"] not in str(list(AuditEntry.objects.values()))


def test_a_key_costs_one_query(anna, django_assert_num_queries):
    from accounts.access.credentials import by_key

    _, key = key_of(anna)
    by_key(key, address="192.0.2.1")
    with django_assert_num_queries(1):
        user, access = by_key(key, address="192.0.2.1")
    assert user == anna
    assert access.via.startswith("key vbx_")


def test_when_and_from_where_a_key_was_used_is_noted_at_most_once_a_minute(client, anna):
    row, key = key_of(anna)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        first = timezone.now()
        get(client, "me/", key=key)
        clock.shift(59)
        get(client, "me/", key=key)
        row.refresh_from_db()
        assert (row.used, row.used_from) == (first, "127.0.0.1")
        clock.shift(1)
        get(client, "me/", key=key)
        row.refresh_from_db()
        assert row.used == first + timedelta(minutes=1)


@pytest.mark.parametrize("change", ["revoked", "expires"])
def test_a_key_that_is_revoked_or_has_expired_opens_nothing(client, anna, change):
    row, key = key_of(anna)
    assert get(client, "me/", key=key).status_code == 200
    ApiKey.objects.filter(pk=row.pk).update(**{change: timezone.now()})
    answer = get(client, "me/", key=key)
    assert (answer.status_code, answer.json()["code"]) == (401, "token")


@pytest.mark.ci
@pytest.mark.parametrize("spoil", [lambda key: key[:-1], lambda key: key[:-1] + "~", lambda key: key[:13] + "A" * 43])
def test_a_key_that_is_not_whole_opens_nothing(client, anna, spoil):
    _, key = key_of(anna)
    assert get(client, "me/", key=spoil(key)).status_code == 401


def test_a_key_without_the_scope_admin_makes_and_revokes_none_but_itself(client, anna):
    row, key = key_of(anna, "trade")
    other, _ = key_of(anna, name="other")
    assert post(client, "keys/", {"name": "x", "scopes": ["read"]}, key=key).json()["code"] == "scope"
    assert post(client, f"keys/{other.pk}/", key=key, method="delete").json()["code"] == "scope"
    assert post(client, f"keys/{row.pk}/", key=key, method="delete").status_code == 204
    assert get(client, "me/", key=key).status_code == 401


def test_a_key_makes_no_key_that_may_do_more_than_itself_and_only_once_it_is_confirmed(client, anna):
    _, key = key_of(anna, "admin")
    wanted = {"name": "x", "scopes": ["trade"]}
    assert post(client, "keys/", wanted, key=key).json()["code"] == "confirmation-needed"
    assert post(client, "confirm/", {"password": PASSWORD}, key=key).status_code == 200
    answer = post(client, "keys/", wanted, key=key)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission")
    assert post(client, "keys/", {"name": "x", "scopes": ["admin"]}, key=key).status_code == 201


def test_a_key_is_made_only_by_who_gave_the_password_lately(client, anna, bearer):
    long_ago(SignIn.objects.get())
    wanted = {"name": "x", "scopes": ["read"]}
    answer = post(client, "keys/", wanted, bearer=bearer)
    assert (answer.status_code, answer.json()["code"]) == (403, "confirmation-needed")
    post(client, "confirm/", {"password": PASSWORD}, bearer=bearer)
    assert post(client, "keys/", wanted, bearer=bearer).status_code == 201


def test_a_key_that_does_not_fit_is_refused(client, bearer):
    for body in [
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scopes": "read"},
        {"name": "x" * 61, "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "expires": "yesterday"},
        {"name": "x", "scopes": ["read"], "expires": "2020-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["read"], "expire": None},
        {"name": "x\u0000", "scopes": ["read"]},
        {"scopes": ["read"]},
        [],
    ]:
        assert post(client, "keys/", body, bearer=bearer).status_code == 400
        assert not ApiKey.objects.exists()


@pytest.mark.ci
def test_a_name_is_free_again_once_its_key_is_revoked(client, anna, bearer):
    row, _ = key_of(anna)
    wanted = {"name": "desk", "scopes": ["read"]}
    assert post(client, "keys/", wanted, bearer=bearer).status_code == 400
    post(client, f"keys/{row.pk}/", bearer=bearer, method="delete")
    assert post(client, "keys/", wanted, bearer=bearer).status_code == 201


@pytest.mark.ci
def test_nobody_has_more_than_fifty_keys(anna):
    ApiKey.objects.bulk_create(
        ApiKey(user=anna, name=f"k{n}", prefix=f"vbx_{n:08d}", digest="x", scopes=["read"]) for n in range(MOST)
    )
    with pytest.raises(Rejected, match="50 keys"):
        key_of(anna)


def test_another_persons_keys_do_not_exist(client, anna, bearer):
    theirs, _ = key_of(somebody("other@example.com", Role.OPERATOR))
    assert get(client, "keys/", bearer=bearer).json()["results"] == []
    for method in ("get", "delete"):
        assert post(client, f"keys/{theirs.pk}/", {}, bearer=bearer, method=method).status_code == 404
    theirs.refresh_from_db()
    assert theirs.revoked is None


@pytest.mark.ci
def test_keys_are_narrowed_and_revoked_ones_stay_to_be_read(client, anna, bearer):
    first, _ = key_of(anna)
    second, _ = key_of(anna, name="other")
    post(client, f"keys/{first.pk}/", bearer=bearer, method="delete")
    assert [row["id"] for row in get(client, "keys/", bearer=bearer).json()["results"]] == [second.pk, first.pk]
    assert [row["id"] for row in get(client, "keys/?open=true", bearer=bearer).json()["results"]] == [second.pk]
    assert get(client, "keys/?opne=true", bearer=bearer).status_code == 400


def test_a_service_refuses_a_scope_that_there_is_not(anna):
    with pytest.raises(Rejected, match="root"):
        api_key_create(user=anna, name="x", scopes=["root"], expires=None, actor=anna)
