"""The second factor: codes that count once, recovery codes, and the confirmation that opens live actions."""

from datetime import timedelta

import pyotp
import pytest
import time_machine
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.utils import timezone

from accounts.models import Alert, AuditEntry, SecondFactor, SignIn
from accounts.services.credentials import credentials_reseal
from accounts.services.sealing import sealed
from accounts.services.second_factor import second_factor_check, second_factor_pending, secret_of
from accounts.tests.access_kit import PASSWORD, get, key_of, long_ago, phone_of, post, somebody, tokens_of
from vibex.lib.errors import NeedsOperator, TooMany

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(timezone.now(), tick=False) as travelled:
        yield travelled


@pytest.fixture
def anna():
    return somebody()


@pytest.fixture
def bearer(anna):
    return tokens_of(anna)["access"]


def confirmed_until(client, bearer):
    return get(client, "me/", bearer=bearer).json()["access"]["confirmed_until"]


def test_it_begins_with_a_secret_and_is_in_force_after_the_first_right_code(client, anna, bearer):
    told = post(client, "second-factor/", bearer=bearer).json()
    assert told["uri"].startswith("otpauth://totp/Vibex:anna%40example.com?secret=" + told["secret"])
    assert told["svg"].startswith("<svg")
    assert get(client, "second-factor/", bearer=bearer).json() == {"in_force": False, "recovery_codes_left": 0}
    wrong = post(client, "second-factor/confirm/", {"code": "000000"}, bearer=bearer)
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong")
    assert post(client, "second-factor/", bearer=bearer).json()["secret"] == told["secret"]
    code = pyotp.TOTP(told["secret"]).now()
    codes = post(client, "second-factor/confirm/", {"code": code}, bearer=bearer).json()["recovery_codes"]
    assert len(codes) == 10
    assert get(client, "second-factor/", bearer=bearer).json() == {"in_force": True, "recovery_codes_left": 10}
    row = SecondFactor.objects.get()
    assert told["secret"] not in row.sealed
    assert codes[0] not in str(row.recovery)
    assert not any(told["secret"] in str(entry) or code in str(entry) for entry in AuditEntry.objects.values())


def test_a_secret_that_nobody_confirmed_is_another_one_after_an_hour(client, anna, bearer, clock):
    first = post(client, "second-factor/", bearer=bearer).json()["secret"]
    clock.shift(timedelta(hours=1))
    assert second_factor_pending(anna) is None
    bearer = tokens_of(anna)["access"]
    assert post(client, "second-factor/", bearer=bearer).json()["secret"] != first


def test_it_is_begun_only_by_who_gave_the_password_lately(client, bearer):
    long_ago(SignIn.objects.get())
    assert post(client, "second-factor/", bearer=bearer).json()["code"] == "confirmation-needed"


def test_while_it_is_in_force_it_is_not_begun_again(client, anna, bearer):
    phone_of(anna)
    SignIn.objects.update(confirmed=timezone.now())
    for address, body in (("second-factor/", {}), ("second-factor/confirm/", {"code": "123456"})):
        answer = post(client, address, body, bearer=bearer)
        assert (answer.status_code, answer.json()["code"]) == (409, "second-factor-on")


def test_a_first_code_without_a_secret_is_refused(client, bearer):
    assert (
        post(client, "second-factor/confirm/", {"code": "123456"}, bearer=bearer).json()["code"] == "second-factor-off"
    )


@pytest.mark.ci
def test_what_was_confirmed_with_the_password_has_to_confirm_again_but_where_the_code_came_from(client, anna, bearer):
    other = tokens_of(anna)["access"]
    _, key = key_of(anna)
    post(client, "confirm/", {"password": PASSWORD}, key=key)
    code = pyotp.TOTP(post(client, "second-factor/", bearer=bearer).json()["secret"]).now()
    post(client, "second-factor/confirm/", {"code": code}, bearer=bearer)
    assert confirmed_until(client, bearer) is not None
    assert confirmed_until(client, other) is None
    assert get(client, "me/", key=key).json()["access"]["confirmed_until"] is None


def test_without_it_the_password_confirms_for_fifteen_minutes(client, anna, bearer, clock):
    clock.shift(timedelta(minutes=9))
    assert confirmed_until(client, bearer) is not None
    long_ago(SignIn.objects.get())
    assert confirmed_until(client, bearer) is None
    for body in ({}, {"password": ""}, {"password": "wrong"}, {"code": "123456"}):
        answer = post(client, "confirm/", body, bearer=bearer)
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong")
    answer = post(client, "confirm/", {"password": PASSWORD}, bearer=bearer)
    assert answer.status_code == 200
    assert answer.json()["confirmed_until"] == confirmed_until(client, bearer)


def test_with_it_only_a_code_confirms_and_one_that_was_used_does_not(client, anna, bearer, clock):
    totp, codes = phone_of(anna)
    assert post(client, "confirm/", {"password": PASSWORD}, bearer=bearer).json()["code"] == "wrong"
    code = totp.now()
    assert post(client, "confirm/", {"code": f"{code[:3]} {code[3:]}"}, bearer=bearer).status_code == 200
    assert post(client, "confirm/", {"code": code}, bearer=bearer).json()["code"] == "wrong"
    assert post(client, "confirm/", {"code": codes[0]}, bearer=bearer).status_code == 200
    assert get(client, "second-factor/", bearer=bearer).json()["recovery_codes_left"] == 9
    clock.shift(30)
    assert post(client, "confirm/", {"code": totp.now()}, bearer=bearer).status_code == 200


def test_a_confirmation_opens_the_one_way_by_which_it_came(client, anna, bearer):
    other = tokens_of(anna)["access"]
    SignIn.objects.update(confirmed=None)
    post(client, "confirm/", {"password": PASSWORD}, bearer=bearer)
    assert confirmed_until(client, bearer)
    assert not confirmed_until(client, other)


@pytest.mark.ci
def test_codes_are_tried_twenty_times_an_hour_and_then_the_person_is_told(client, anna, bearer):
    totp, codes = phone_of(anna)
    assert not any(second_factor_check(user=anna, code=f"{n:06d}") for n in range(20) if f"{n:06d}" != totp.now())
    with pytest.raises(TooMany):
        second_factor_check(user=anna, code=codes[0])
    answer = post(client, "confirm/", {"code": totp.now()}, bearer=bearer)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) <= 3600
    alert = Alert.objects.get(user=anna)
    assert alert.severity == "critical"
    assert totp.secret not in alert.message


@pytest.mark.ci
def test_passwords_for_a_confirmation_are_tried_ten_times_a_minute(client, bearer):
    for _ in range(10):
        assert post(client, "confirm/", {"password": "wrong"}, bearer=bearer).status_code == 403
    assert post(client, "confirm/", {"password": PASSWORD}, bearer=bearer).status_code == 429


@pytest.mark.ci
def test_strangers_who_try_to_get_in_do_not_keep_a_person_from_confirming(client, anna, bearer):
    for _ in range(12):
        post(client, "login/", {"email": anna.email, "password": "wrong"})
    assert post(client, "confirm/", {"password": PASSWORD}, bearer=bearer).status_code == 200


def test_removing_it_takes_password_and_code(client, anna, bearer, clock):
    totp, _codes = phone_of(anna)
    for password, code in (("wrong", totp.now()), (PASSWORD, "000000"), (PASSWORD, totp.now())):
        answer = post(client, "second-factor/remove/", {"password": password, "code": code}, bearer=bearer)
        assert answer.json()["code"] == "wrong"  # the last code was spent on the wrong password
    clock.shift(30)
    body = {"password": PASSWORD, "code": totp.now()}
    assert post(client, "second-factor/remove/", body, bearer=bearer).status_code == 204
    assert not SecondFactor.objects.exists()
    assert post(client, "second-factor/remove/", body, bearer=bearer).json()["code"] == "second-factor-off"
    assert AuditEntry.objects.filter(action="second-factor-off", actor=anna).exists()


def test_a_secret_that_was_copied_to_another_person_or_does_not_open_is_told_to_the_operator(anna):
    phone_of(anna)
    row = SecondFactor.objects.get()
    row.sealed = sealed({"user": anna.pk + 1, "secret": "X"})
    with pytest.raises(NeedsOperator, match="reset_password"):
        secret_of(row)
    row.sealed = "nonsense"
    with pytest.raises(NeedsOperator):
        secret_of(row)


@pytest.mark.ci
@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "x" * 32])
def test_what_has_not_the_form_of_a_code_is_none(anna, code):
    phone_of(anna)
    assert not second_factor_check(user=anna, code=code)
    cache.clear()


def test_nobody_without_one_has_a_right_code(anna):
    assert not second_factor_check(user=anna, code="123456")


@pytest.mark.ci
def test_a_new_sealing_key_takes_second_factors_along(anna, settings):
    totp, _codes = phone_of(anna)
    new = Fernet.generate_key().decode()
    settings.CREDENTIALS_KEYS = (new, *settings.CREDENTIALS_KEYS)
    assert credentials_reseal().resealed == ("second factor of anna@example.com",)
    settings.CREDENTIALS_KEYS = (new,)
    assert second_factor_check(user=anna, code=totp.now())
