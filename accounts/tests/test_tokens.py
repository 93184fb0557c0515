"""Programs sign in with e-mail and password, and live on tokens: short ones, and one that is refreshed once."""

import base64
import json
from datetime import timedelta

import jwt
import pytest
import time_machine
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import Alert, AuditEntry, Role, SignIn
from accounts.services.sign_ins import sign_in_end
from accounts.tests.access_kit import PASSWORD, get, key_of, phone_of, post, somebody, tokens_of
from vibex.lib.variables import Features

pytestmark = pytest.mark.django_db


def claims(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_program_signs_in_and_is_known_by_its_access_token(client):
    user = somebody()
    answer = post(client, "login/", {"email": " Anna@Example.com ", "password": PASSWORD})
    assert answer.status_code == 200
    assert set(answer.json()) == {"access", "refresh", "access_expires", "refresh_expires"}
    me = get(client, "me/", bearer=answer.json()["access"]).json()
    assert (me["email"], me["role"], me["access"]["kind"]) == (user.email, Role.TRADER, "tokens")
    assert me["access"]["confirmed_until"] is not None
    row = SignIn.objects.get(user=user)
    assert (row.kind, str(row.address), claims(answer.json()["access"])["sid"]) == ("tokens", "127.0.0.1", row.pk)
    entry = AuditEntry.objects.get(action="sign-in")
    assert (entry.actor, entry.via, entry.address) == (user, "tokens", "127.0.0.1")


def test_no_cookie_is_set_for_a_program(client):
    somebody()
    assert not post(client, "login/", {"email": "anna@example.com", "password": PASSWORD}).cookies


@pytest.mark.parametrize(
    ("email", "password"), [("anna@example.com", "wrong horse battery"), ("nobody@example.com", PASSWORD)]
)
def test_a_wrong_password_and_an_unknown_address_are_answered_alike(client, email, password):
    somebody()
    answer = post(client, "login/", {"email": email, "password": password})
    assert (answer.status_code, answer.json()["code"]) == (401, "credentials")
    assert answer.json()["detail"] == "E-mail address or password is wrong."
    assert not SignIn.objects.exists()


def test_an_unknown_address_costs_a_hash_as_well(client, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        "django.contrib.auth.hashers.MD5PasswordHasher.encode",
        lambda self, password, salt: hashed.append(1) or "md5$x$y",
    )
    post(client, "login/", {"email": "nobody@example.com", "password": PASSWORD})
    assert hashed


def test_who_is_switched_off_gets_no_tokens_and_those_they_have_count_no_more(client):
    user = somebody()
    tokens = tokens_of(user)
    type(user).objects.update(is_active=False)
    assert post(client, "login/", {"email": user.email, "password": PASSWORD}).json()["code"] == "credentials"
    assert get(client, "me/", bearer=tokens["access"]).status_code == 401
    assert post(client, "refresh/", {"refresh": tokens["refresh"]}).json()["code"] == "signed-out"


def test_a_body_that_does_not_fit_is_refused_by_its_fields(client):
    for body in [
        {},
        {"email": "anna@example.com"},
        {"email": "x", "password": PASSWORD},
        {"email": "anna@example.com", "password": ""},
        {"email": "anna@example.com", "password": "x" * 2000},
        {"email": "anna@example.com", "password": PASSWORD, "otp": "1"},
        [],
    ]:
        answer = post(client, "login/", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_an_access_token_opens_calls_for_ten_minutes(client):
    user = somebody()
    with time_machine.travel(timezone.now(), tick=False) as clock:
        tokens = tokens_of(user)
        clock.shift(timedelta(minutes=9, seconds=59))
        assert get(client, "me/", bearer=tokens["access"]).status_code == 200
        clock.shift(1)
        answer = get(client, "me/", bearer=tokens["access"])
    assert (answer.status_code, answer.json()["code"]) == (401, "token")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_access_token_costs_one_query(client, django_assert_num_queries):
    tokens = tokens_of(somebody())
    from accounts.access.credentials import by_token

    with django_assert_num_queries(1):
        by_token(tokens["access"])


def forged(user, **changed) -> dict:
    row = SignIn.objects.get(user=user)
    soon = int((timezone.now() + timedelta(minutes=5)).timestamp())
    return {"token_type": "access", "jti": "x", "exp": soon, "sid": row.pk, "user_id": str(user.pk), **changed}


def test_a_token_that_we_did_not_sign_by_our_algorithm_opens_nothing(client):
    user, other = somebody(), somebody("other@example.com")
    mine = tokens_of(user)
    assert claims(mine["access"]) | {"exp": 0, "jti": 0, "iat": 0} == forged(user, exp=0, jti=0, iat=0)
    for token in (
        jwt.encode(forged(user), settings.SECRET_KEY, algorithm="HS256"),
        jwt.encode(forged(user), "", algorithm="none"),
        jwt.encode(forged(user), "k" * 64, algorithm="HS512"),
        mine["access"][:-2] + "xx",
        mine["refresh"],
        "",
        "a.b.c",
        "é" * 10,
        "x" * 10_000,
    ):
        assert get(client, "me/", bearer=token or " ").status_code == 401
    assert post(client, "refresh/", {"refresh": mine["access"]}).json()["code"] == "token"
    assert other.sign_ins.count() == 0


def test_a_header_that_is_wrong_is_refused_even_with_a_cookie_that_is_right(client):
    user = somebody()
    client.force_login(user)
    assert get(client, "me/").status_code == 200
    assert get(client, "me/", bearer="nonsense").status_code == 401
    assert get(client, "me/", key="nonsense").status_code == 401


@pytest.mark.ci
def test_the_scheme_of_a_header_may_be_written_in_any_case_and_others_are_nobody(client):
    access = tokens_of(somebody())["access"]
    assert get(client, "me/", authorization=f"bearer {access}").status_code == 200
    for header in ("Basic YTpi", access, "Bearer", "Token x"):
        assert get(client, "me/", authorization=header).status_code == 401


def test_a_refresh_token_gives_the_next_pair_and_the_old_pair_goes_on_for_its_minutes(client):
    tokens = tokens_of(somebody())
    answer = post(client, "refresh/", {"refresh": tokens["refresh"]})
    assert answer.status_code == 200
    assert answer.json()["refresh"] != tokens["refresh"]
    assert get(client, "me/", bearer=answer.json()["access"]).status_code == 200
    assert get(client, "me/", bearer=tokens["access"]).status_code == 200
    assert SignIn.objects.count() == 1


def test_a_token_that_was_refreshed_a_moment_ago_is_told_so_and_nobody_is_signed_out(client):
    tokens = tokens_of(somebody())
    new = post(client, "refresh/", {"refresh": tokens["refresh"]}).json()
    again = post(client, "refresh/", {"refresh": tokens["refresh"]})
    assert (again.status_code, again.json()["code"]) == (409, "refreshed-already")
    assert get(client, "me/", bearer=new["access"]).status_code == 200
    assert not Alert.objects.exists()


def test_a_token_that_is_used_again_later_ends_the_sign_in_for_both_and_the_person_is_told(client):
    user = somebody()
    with time_machine.travel(timezone.now(), tick=False) as clock:
        tokens, others = tokens_of(user), tokens_of(user)
        new = post(client, "refresh/", {"refresh": tokens["refresh"]}).json()
        clock.shift(10)
        again = post(client, "refresh/", {"refresh": tokens["refresh"]})
        assert (again.status_code, again.json()["code"]) == (401, "signed-out")
        assert get(client, "me/", bearer=new["access"]).json()["code"] == "signed-out"
        assert post(client, "refresh/", {"refresh": new["refresh"]}).json()["code"] == "signed-out"
        assert get(client, "me/", bearer=others["access"]).status_code == 200
    assert AuditEntry.objects.filter(action="refresh-token-reuse").count() == 1
    alert = Alert.objects.get(user=user)
    assert (alert.severity, alert.account) == ("critical", None)


@pytest.mark.ci
def test_a_refresh_token_lives_fourteen_days(client):
    user = somebody()
    with time_machine.travel(timezone.now(), tick=False) as clock:
        tokens = tokens_of(user)
        clock.shift(timedelta(days=14))
        assert post(client, "refresh/", {"refresh": tokens["refresh"]}).json()["code"] == "token"


@pytest.mark.ci
def test_what_is_stored_of_a_refresh_token_is_none(client):
    from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

    tokens = tokens_of(somebody())
    post(client, "refresh/", {"refresh": tokens["refresh"]})
    assert list(OutstandingToken.objects.values_list("token", flat=True)) == ["", ""]
    assert BlacklistedToken.objects.get().token.jti == claims(tokens["refresh"])["jti"]


def test_signing_out_ends_access_and_refresh_at_once(client):
    user = somebody()
    tokens = tokens_of(user)
    assert post(client, "logout/", bearer=tokens["access"]).status_code == 204
    assert get(client, "me/", bearer=tokens["access"]).json()["code"] == "signed-out"
    assert post(client, "refresh/", {"refresh": tokens["refresh"]}).json()["code"] == "signed-out"
    assert not AuditEntry.objects.filter(action="refresh-token-reuse").exists()


def test_a_sign_in_that_somebody_ended_is_over_at_once(client):
    user = somebody()
    tokens = tokens_of(user)
    row = SignIn.objects.get()
    assert sign_in_end(sign_in=row, actor=None, reason="test")
    assert not sign_in_end(sign_in=row, actor=None, reason="test")
    assert get(client, "me/", bearer=tokens["access"]).status_code == 401


def test_ten_attempts_a_minute_then_wait_and_the_address_waits_for_everybody(client):
    somebody()
    wrong = {"email": "anna@example.com", "password": "wrong"}
    with time_machine.travel(timezone.now().replace(second=5), tick=False) as clock:
        assert {post(client, "login/", wrong).status_code for _ in range(10)} == {401}
        answer = post(client, "login/", wrong | {"password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (429, "too-many")
        assert 50 <= int(answer.headers["Retry-After"]) <= 60
        assert post(client, "login/", {"email": "b@example.com", "password": "x"}).status_code == 429
        clock.shift(60)
        assert post(client, "login/", wrong | {"password": PASSWORD}).status_code == 200


@pytest.mark.ci
def test_a_person_is_guarded_from_many_addresses_and_a_success_forgets_what_was_counted():
    somebody()
    wrong = {"email": "anna@example.com", "password": "wrong"}
    right = wrong | {"password": PASSWORD}
    clients = [Client(REMOTE_ADDR=f"192.0.2.{n}") for n in range(1, 14)]
    with time_machine.travel(timezone.now().replace(second=5), tick=False):
        assert {post(each, "login/", wrong).status_code for each in clients[:9]} == {401}
        assert post(clients[9], "login/", right).status_code == 200
        assert {post(each, "login/", wrong).status_code for each in clients[:10]} == {401}
        assert post(clients[11], "login/", right | {"email": "ANNA@example.com"}).status_code == 429


@pytest.mark.parametrize(("home", "there"), [("198.51.100.7", "198.51.100.7"), ("2001:db8:1:2::7", "2001:db8:1:2::9")])
def test_strangers_elsewhere_keep_nobody_out_who_is_where_they_signed_in_before(home, there):
    user = somebody()
    right = {"email": user.email, "password": PASSWORD}
    wrong = right | {"password": "wrong"}
    strangers = [Client(REMOTE_ADDR=f"192.0.2.{n}") for n in range(1, 14)]
    with time_machine.travel(timezone.now().replace(second=5), tick=False):
        assert post(Client(REMOTE_ADDR=home), "login/", right).status_code == 200
        assert [post(each, "login/", wrong).status_code for each in strangers][-1] == 429
        assert post(Client(REMOTE_ADDR="203.0.113.1"), "login/", right).status_code == 429
        at_home = Client(REMOTE_ADDR=there)
        assert post(at_home, "login/", right).status_code == 200
        # No better there for who guesses than from any other address.
        assert [post(at_home, "login/", wrong).status_code for _ in range(10)][-1] == 429


def test_where_a_person_signed_in_long_ago_is_not_known_as_theirs(settings):
    settings.SIGN_IN_RATE = (1, 60)
    user = somebody()
    right = {"email": user.email, "password": PASSWORD}
    with time_machine.travel(timezone.now().replace(second=5), tick=False) as clock:
        assert post(Client(REMOTE_ADDR="198.51.100.7"), "login/", right).status_code == 200
        SignIn.objects.update(ended=timezone.now())
        clock.shift(timedelta(days=91))
        assert post(Client(REMOTE_ADDR="192.0.2.1"), "login/", right | {"password": "wrong"}).status_code == 401
        assert post(Client(REMOTE_ADDR="198.51.100.7"), "login/", right).status_code == 429


def test_with_a_second_factor_password_alone_does_not_do(client):
    user = somebody()
    with time_machine.travel(timezone.now(), tick=False):
        totp, codes = phone_of(user)
        right = {"email": user.email, "password": PASSWORD}
        needed = post(client, "login/", right)
        assert (needed.status_code, needed.json()["code"]) == (401, "second-factor-needed")
        assert post(client, "login/", right | {"code": "000000"}).json()["code"] == "second-factor-wrong"
        code = totp.now()
        assert post(client, "login/", right | {"code": code}).status_code == 200
        assert post(client, "login/", right | {"code": code}).json()["code"] == "second-factor-wrong"
        assert post(client, "login/", right | {"code": codes[3].upper()}).status_code == 200
        assert post(client, "login/", right | {"code": codes[3]}).json()["code"] == "second-factor-wrong"
        # Whether there is a second factor is told to those only who know the password.
        assert post(client, "login/", right | {"password": "wrong", "code": code}).json()["code"] == "credentials"


def test_registering_is_off_by_default(client):
    answer = post(client, "register/", {"email": "new@example.com", "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (403, "registration-off")


def test_a_stranger_who_registers_is_a_viewer_with_nothing(client, settings):
    settings.FEATURES = Features(registration=True)
    answer = post(client, "register/", {"email": "New@example.com", "password": PASSWORD})
    assert answer.status_code == 202
    tokens = post(client, "login/", {"email": "new@example.com", "password": PASSWORD}).json()
    me = get(client, "me/", bearer=tokens["access"]).json()
    assert (me["role"], me["rights"], me["staff"]) == ("viewer", [], False)


def test_registering_does_not_tell_whether_an_address_is_known_and_changes_nobody(client, settings):
    settings.FEATURES = Features(registration=True)
    somebody()
    new = post(client, "register/", {"email": "new@example.com", "password": PASSWORD})
    known = post(client, "register/", {"email": "Anna@example.com", "password": "a password of the thief"})
    assert (new.status_code, new.content) == (known.status_code, known.content)
    answer = post(client, "login/", {"email": "anna@example.com", "password": "a password of the thief"})
    assert answer.status_code == 401
    weak = [post(client, "register/", {"email": f"{who}@example.com", "password": "short"}) for who in ("anna", "new2")]
    assert [answer.status_code for answer in weak] == [400, 400]


def test_a_key_cannot_sign_out_nor_end_sign_ins_nor_touch_password_and_second_factor(client):
    user = somebody()
    tokens_of(user)
    _, key = key_of(user, "read", "trade", "admin")
    row = SignIn.objects.get()
    for answer in (
        post(client, "logout/", key=key),
        post(client, f"sign-ins/{row.pk}/", key=key, method="delete"),
        post(client, "sign-ins/end-others/", key=key),
        post(client, "password/change/", {"old": PASSWORD, "new": "x"}, key=key),
        post(client, "second-factor/", key=key),
        post(client, "second-factor/confirm/", {"code": "1"}, key=key),
        post(client, "second-factor/remove/", {"password": PASSWORD, "code": "1"}, key=key),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "person-needed")
    assert SignIn.objects.filter(ended__isnull=True).count() == 1
