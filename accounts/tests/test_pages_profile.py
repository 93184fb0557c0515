"""The person's own page: where they are signed in, their second factor and the keys of their programs."""

from __future__ import annotations

import re

import pyotp
import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.domain.agents import agent_words
from accounts.models import ApiKey, SecondFactor, SignIn, User
from accounts.services.api_keys import api_key_create, api_key_valid
from tests.support.access import confirmed, second_factor_of
from tests.support.demo import PASSWORD, person

pytestmark = pytest.mark.django_db
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
CONFIRM = "Confirm that it is you"


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    cache.clear()


@pytest.fixture
def owner() -> User:
    return person("owner@vibex.local")


@pytest.fixture
def mine(owner: User) -> Client:
    client = Client(headers={"user-agent": CHROME})
    client.force_login(owner)
    return client


def key_of(user: User, name: str = "bot") -> ApiKey:
    return api_key_create(user=user, name=name, scopes=["read"], expires=None, actor=user)[0]


def test_the_page_shows_where_one_is_signed_in_and_which_keys_there_are(mine: Client, owner: User) -> None:
    key_of(owner, "reports")
    page = mine.get("/profile/").content.decode()
    for told in ("owner@vibex.local", "Chrome on Linux", "127.0.0.1", "reports", "second factor off", "role: trader"):
        assert told in page


def test_another_time_zone_is_kept_and_one_that_is_none_is_refused(mine: Client, owner: User) -> None:
    assert mine.post("/profile/", {"time_zone": "Asia/Tokyo"})["Location"] == "/profile/"
    for wrong in ("Mars/Base", "", "../../etc/passwd"):
        assert mine.post("/profile/", {"time_zone": wrong}).status_code == 200
    owner.refresh_from_db()
    assert owner.time_zone == "Asia/Tokyo"


def test_one_sign_in_is_ended_and_all_others_are(mine: Client, owner: User) -> None:
    others = [Client(), Client()]
    for each in (mine, *others):
        each.force_login(owner)
        each.get("/alerts/count/")
    first = SignIn.objects.get(session_key=others[0].session.session_key)
    assert mine.post(f"/profile/sign-ins/{first.pk}/end/").status_code == 302
    assert others[0].get("/profile/").status_code == 302
    assert others[1].get("/profile/").status_code == 200
    mine.post("/profile/sign-ins/end/")
    assert others[1].get("/profile/").status_code == 302
    assert mine.get("/profile/").status_code == 200


def test_to_end_the_sign_in_of_this_browser_is_to_sign_out(mine: Client) -> None:
    mine.get("/profile/")
    row = SignIn.objects.get()
    assert mine.post(f"/profile/sign-ins/{row.pk}/end/")["Location"] == "/sign-in/"
    assert mine.get("/profile/").status_code == 302


def test_nobody_ends_or_revokes_what_is_anothers(mine: Client) -> None:
    stranger = person("stranger@vibex.local")
    browser = Client()
    browser.force_login(stranger)
    browser.get("/profile/")
    key = key_of(stranger)
    assert mine.post(f"/profile/sign-ins/{SignIn.objects.get(user=stranger).pk}/end/").status_code == 404
    assert mine.post(f"/profile/keys/{key.pk}/revoke/").status_code == 404
    mine.post("/profile/sign-ins/end/")
    assert browser.get("/profile/").status_code == 200


# -- keys --------------------------------------------------------------------------------------------------------------


def made(page: str) -> str:
    return re.search(r"vbx_[a-z2-7]{8}_[A-Za-z0-9_-]{43}", page)[0]  # type: ignore[index]


def test_a_key_is_shown_once_and_works(mine: Client, owner: User) -> None:
    confirmed(mine)
    answer = mine.post("/profile/keys/", {"name": "reports", "scopes": ["trade"], "days": "30"})
    secret = made(answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    row = api_key_valid(secret)
    assert row is not None
    assert (row.user, row.scopes, row.name) == (owner, ["read", "trade"], "reports")
    assert row.expires is not None
    assert secret not in mine.get("/profile/").content.decode()
    mine.post(f"/profile/keys/{row.pk}/revoke/")
    assert api_key_valid(secret) is None
    assert "reports" not in mine.get("/profile/").content.decode().split("API keys")[1]


@pytest.mark.parametrize("given", [{"name": ""}, {"name": "x" * 61}, {"scopes": ["root"]}, {"days": "31"}])
def test_a_key_that_cannot_be_is_told_at_its_field(mine: Client, given: dict[str, object]) -> None:
    answer = confirmed(mine).post("/profile/keys/", {"name": "reports", "days": "", **given})
    assert (answer.status_code, 'role="alert"' in answer.content.decode()) == (200, True)
    assert not ApiKey.objects.exists()


def test_a_second_key_of_a_name_is_refused(mine: Client, owner: User) -> None:
    key_of(owner, "reports")
    said = confirmed(mine).post("/profile/keys/", {"name": "reports", "days": ""}).content.decode()
    assert "You have a key of this name" in said


def test_a_key_is_made_only_after_a_confirmation_and_what_was_typed_is_kept(mine: Client) -> None:
    asked = mine.post("/profile/keys/", {"name": "reports", "scopes": ["trade", "admin"], "days": "90"})
    page = asked.content.decode()
    assert (asked.status_code, CONFIRM in page) == (403, True)
    assert not ApiKey.objects.exists()
    kept = re.search(r'name="confirm_kept" value="([^"]+)"', page)[1]  # type: ignore[index]
    assert "reports" not in kept
    wrong = mine.post("/profile/keys/", {"confirm_kept": kept, "confirm_password": "wrong password"})
    assert (wrong.status_code, "wrong" in wrong.content.decode()) == (403, True)
    done = mine.post("/profile/keys/", {"confirm_kept": kept, "confirm_password": PASSWORD})
    assert (done.status_code, made(done.content.decode())[:4]) == (200, "vbx_")
    assert ApiKey.objects.get().scopes == ["read", "trade", "admin"]


# -- the second factor ---------------------------------------------------------------------------------------------------


def test_a_second_factor_is_set_up_with_a_picture_a_first_code_and_recovery_codes(mine: Client, owner: User) -> None:
    confirmed(mine)
    assert mine.post("/profile/second-factor/")["Location"] == "/profile/second-factor/"
    page = mine.get("/profile/second-factor/").content.decode()
    secret = re.search(r'<code id="secret">(\w+)</code>', page)[1]  # type: ignore[index]
    assert "<svg" in page
    assert "style=" not in page
    again = mine.post("/profile/second-factor/", {"code": "000000"}).content.decode()
    assert secret in again, "a wrong first code does not make the scanned picture worthless"
    done = mine.post("/profile/second-factor/", {"code": pyotp.TOTP(secret).now()}).content.decode()
    codes = re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", done)
    assert len(codes) == 10
    assert SecondFactor.objects.get(user=owner).confirmed is not None
    shown = mine.get("/profile/").content.decode()
    assert "second factor on" in shown
    assert codes[0] not in shown
    assert mine.get("/profile/second-factor/")["Location"] == "/profile/", "nobody sees the secret again"


def test_who_only_has_the_browser_sets_up_no_second_factor_and_reads_no_secret(mine: Client) -> None:
    assert CONFIRM in mine.post("/profile/second-factor/").content.decode()
    assert not SecondFactor.objects.exists()
    assert mine.get("/profile/second-factor/")["Location"].startswith("/confirm/?next=")


def test_it_is_removed_by_password_and_code_only(mine: Client, owner: User) -> None:
    secret, codes = second_factor_of(owner)
    for given in ({"password": PASSWORD, "code": "000000"}, {"password": "wrong", "code": codes[0]}, {}):
        assert mine.post("/profile/second-factor/remove/", given).status_code == 200
    assert SecondFactor.objects.exists()
    with time_machine.travel(timezone.now() + timezone.timedelta(seconds=60), tick=False):
        given = {"password": PASSWORD, "code": pyotp.TOTP(secret).now()}
        assert mine.post("/profile/second-factor/remove/", given)["Location"] == "/profile/"
    assert not SecondFactor.objects.exists()


# -- the confirmation ------------------------------------------------------------------------------------------------------


def test_the_page_takes_the_password_or_with_a_second_factor_only_a_code(mine: Client, owner: User) -> None:
    mine.get("/profile/")
    assert mine.post("/confirm/?next=/alerts/", {"confirm_password": "wrong"}).status_code == 200
    assert SignIn.objects.get().confirmed is None
    assert mine.post("/confirm/?next=/alerts/", {"confirm_password": PASSWORD})["Location"] == "/alerts/"
    assert SignIn.objects.get().confirmed is not None
    _, codes = second_factor_of(owner)
    SignIn.objects.update(confirmed=None)
    mine.post("/confirm/", {"confirm_password": PASSWORD})
    assert SignIn.objects.get().confirmed is None
    assert mine.post("/confirm/?next=https://elsewhere.example/", {"confirm_code": codes[1]})["Location"] == "/"
    assert SignIn.objects.get().confirmed is not None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (CHROME, "Chrome on Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/141.0 Safari/537.36 Edg/141.0", "Edge on Windows"),
        ("curl/8.5.0", "curl"),
        ("", "unknown"),
        ("x" * 100, "x" * 60),
    ],
)
def test_browsers_are_called_by_the_names_that_people_know(said: str, told: str) -> None:
    assert agent_words(said) == told
