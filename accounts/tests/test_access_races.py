"""Two at the same moment, on a database that lets them: a code, a refresh token and a link count once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pyotp
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Alert, ApiKey, SecondFactor, SignIn
from accounts.services.api_keys import MOST, api_key_create
from accounts.services.passwords import password_reset, reset_link
from accounts.services.second_factor import second_factor_begin, second_factor_check, second_factor_confirm, secret_of
from accounts.services.sign_ins import sign_in_end
from accounts.services.token_rotation import tokens_begin, tokens_refresh
from accounts.tests.access_kit import NEW, phone_of, somebody
from vibex.lib.errors import Rejected

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
AT_ONCE = 4


def at_once(act) -> list:
    """Return what each of four threads got that began together: a result, or the code of the refusal."""
    start = Barrier(AT_ONCE)

    def one(number: int):
        start.wait(5)
        try:
            return act(number)
        except Rejected as fault:
            return fault.code
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(AT_ONCE)))


def test_a_refresh_token_that_is_used_at_once_gives_one_pair_and_nobody_is_signed_out():
    user = somebody()
    tokens = tokens_begin(user=user, address=None, agent="")
    got = at_once(lambda _: tokens_refresh(refresh=tokens.refresh))
    pairs = [each for each in got if not isinstance(each, str)]
    assert len(pairs) == 1
    assert [each for each in got if isinstance(each, str)] == ["refreshed-already"] * (AT_ONCE - 1)
    assert tokens_refresh(refresh=pairs[0].refresh)
    assert SignIn.objects.get().ended is None
    assert not Alert.objects.exists()


def test_a_sign_in_that_is_ended_while_it_is_refreshed_is_over():
    user = somebody()
    tokens = tokens_begin(user=user, address=None, agent="")
    row = SignIn.objects.get()

    def act(number: int):
        if number:
            return sign_in_end(sign_in=row, actor=user, reason="test")
        return tokens_refresh(refresh=tokens.refresh)

    got = at_once(act)
    assert got[1:].count(True) == 1
    if not isinstance(got[0], str):
        with pytest.raises(Rejected, match="over"):
            tokens_refresh(refresh=got[0].refresh)
    assert not Alert.objects.exists()


def test_a_code_and_a_recovery_code_that_are_used_at_once_count_once():
    user = somebody()
    totp, codes = phone_of(user)
    code = totp.at(timezone.now())
    SecondFactor.objects.update(last_step=0)
    assert at_once(lambda _: second_factor_check(user=user, code=code)).count(True) == 1
    assert at_once(lambda _: second_factor_check(user=user, code=codes[0])).count(True) == 1
    assert at_once(lambda number: second_factor_check(user=user, code=codes[number + 1])).count(True) == AT_ONCE
    assert len(SecondFactor.objects.get().recovery) == 10 - 1 - AT_ONCE


def test_a_second_factor_that_is_begun_and_confirmed_at_once_is_one():
    user = somebody()
    assert len({enrolment.secret for enrolment in at_once(lambda _: second_factor_begin(user=user))}) == 1
    code = pyotp.TOTP(secret_of(SecondFactor.objects.get())).now()
    got = at_once(lambda _: second_factor_confirm(user=user, code=code))
    assert len([each for each in got if isinstance(each, tuple)]) == 1


def test_a_link_that_is_used_at_once_sets_one_password(settings):
    settings.PUBLIC_URL = "https://desk.example.com"
    user = somebody()
    uid, token = reset_link(user).rstrip("/").split("/")[-2:]
    got = at_once(lambda number: password_reset(uid=uid, token=token, password=f"{NEW} {number}"))
    assert sorted(each for each in got if isinstance(each, str)) == ["link"] * (AT_ONCE - 1)


def test_keys_that_are_made_at_once_are_no_more_than_fifty_and_no_name_stands_twice():
    user = somebody()
    ApiKey.objects.bulk_create(
        ApiKey(user=user, name=f"k{n}", prefix=f"vbx_{n:08d}", digest="x", scopes=["read"]) for n in range(MOST - 2)
    )

    def make(name: str):
        return api_key_create(user=user, name=name, scopes=["read"], expires=None, actor=user)

    assert at_once(lambda _: make("same")).count("invalid") == AT_ONCE - 1
    assert at_once(lambda number: make(f"n{number}")).count("too-many-keys") == AT_ONCE - 1
    assert ApiKey.objects.count() == MOST
