"""Who is let in to act: by what the call does, the caller's scopes and role, whose the row is, and what is at stake."""

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access.acts import ALL_SCOPES, Access
from accounts.models import Account, ApiKey, Role, User
from accounts.services.roles import roles_ensure
from accounts.tests import api_kit
from tests.support.demo import PASSWORD, account_of, bot_of, person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.api_kit")]
ACTS = ("end", "go", "manage", "secret")


@pytest.fixture(autouse=True)
def _roles():
    roles_ensure()


def caller(user, *scopes: str, confirmed=None) -> APIClient:
    client = APIClient()
    row = ApiKey(user=user, prefix="vbx_1", confirmed=confirmed)
    client.force_authenticate(user, Access("key", frozenset(scopes) or ALL_SCOPES, row))
    return client


def answers(client, bot) -> dict[str, tuple[int, str]]:
    found = {what: client.post(f"/api/v1/things/{bot.pk}/{what}/", {}) for what in ACTS}
    return {what: (answer.status_code, answer.json().get("code", "")) for what, answer in found.items()}


def on_real_money(bot):
    paper = account_of(bot.account.owner, "before", venue="aster")
    given = {"mode": "live", "network": "mainnet", "venue": "aster", "promoted_from": paper}
    Account.objects.filter(pk=bot.account_id).update(**given)
    return bot


FINE, SCOPE, ROLE = (200, ""), (403, "scope"), (403, "role")


@pytest.mark.parametrize(
    ("scopes", "wanted"),
    [
        (("read",), (SCOPE, SCOPE, SCOPE, FINE)),
        (("read", "trade"), (FINE, FINE, SCOPE, FINE)),
        (("read", "admin"), (SCOPE, SCOPE, FINE, FINE)),
        ((), (FINE, FINE, FINE, FINE)),
    ],
)
def test_a_key_does_what_its_scopes_say(scopes, wanted):
    bot = bot_of(account_of(person()))
    assert answers(caller(bot.account.owner, *scopes), bot) == dict(zip(ACTS, wanted, strict=True))


def test_a_viewer_looks_and_ends_and_raises_no_risk():
    bot = bot_of(account_of(User.objects.create_user("viewer@vibex.local", PASSWORD, role=Role.VIEWER)))
    assert answers(caller(bot.account.owner), bot) == dict(zip(ACTS, (FINE, ROLE, ROLE, FINE), strict=True))


def test_anothers_row_is_not_there_for_any_act():
    bot = bot_of(account_of(person()))
    told = answers(caller(person("other@vibex.local")), bot)
    assert set(told.values()) == {(404, "not-found")}
    assert api_kit.Things.acts.keys() >= set(ACTS)


def test_staff_that_see_all_accounts_act_on_their_own_only():
    bot = bot_of(account_of(person()))
    staff = person("staff@vibex.local", is_staff=True, is_superuser=True)
    client = caller(staff)
    assert client.get(f"/api/v1/things/{bot.pk}/").status_code == 200
    assert set(answers(client, bot).values()) == {(403, "not-yours")}


def test_on_real_money_what_may_raise_risk_is_confirmed_first_and_ending_never():
    bot = on_real_money(bot_of(account_of(person())))
    needed = (403, "confirmation-needed")
    owner = bot.account.owner
    assert answers(caller(owner), bot) == dict(zip(ACTS, (FINE, needed, needed, FINE), strict=True))
    assert set(answers(caller(owner, confirmed=timezone.now()), bot).values()) == {FINE}


def test_what_no_view_has_named_is_refused():
    bot = bot_of(account_of(person()))
    answer = caller(bot.account.owner).post(f"/api/v1/things/{bot.pk}/unnamed/", {})
    assert (answer.status_code, answer.json()["code"]) == (403, "closed")


def test_nobody_is_let_in_and_an_open_door_is():
    bot = bot_of(account_of(person()))
    for path in ("things/", f"things/{bot.pk}/"):
        answer = APIClient().get(f"/api/v1/{path}")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"]
    assert set(answers(APIClient(), bot).values()) == {(401, "not-authenticated")}
    assert APIClient().post("/api/v1/door/", {"note": "me"}).json() == {"hello": "me"}


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
def test_a_method_without_an_answer_is_405(method):
    client = caller(person())
    answer = client.generic(method.upper(), "/api/v1/things/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert "GET" in answer.headers["Allow"]
