"""The emergency stop at the API, on its page and in the admin: one's own accounts, without a script, and what refuses."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, User
from marketdata.services import feed_configure
from trading.models import Halt, Position
from trading.services.halt import account_halt, halt_latch
from trading.tests.builders import make_account

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account():
    feed_configure(venue="sim", kind="simulated", seed=7)
    return make_account("desk")


@pytest.fixture
def owner(account, client) -> Client:
    client.force_login(account.owner)
    return client


@pytest.fixture
def operator() -> User:
    return User.objects.create_superuser("operator@example.org")


def state(account: Account) -> str:
    return Account.objects.values_list("state", flat=True).get(pk=account.pk)


# API


def test_the_api_halts_tells_how_it_went_and_may_be_asked_twice(owner, account):
    address = f"/api/v1/accounts/{account.pk}/halt/"
    before = owner.get(address).json()
    told_before = {"account": account.pk, "name": "desk", "badge": "paper", "halted": False, "state": "active"}
    assert before | told_before == before
    assert before["flat"] is None, "there is no halt"
    told = owner.post(address, {"reason": "test"}, content_type="application/json")
    assert told.status_code == 200, told.content
    one = told.json()["result"]
    assert (one["latched"], one["flat"], one["state"], one["note"], one["problem"]) == (True, True, "halted", "", "")
    assert (one["cancelled"], one["closed"], one["reason"], one["badge"]) == ([], [], "test", "paper")
    assert not owner.post(address, content_type="application/json").json()["result"]["latched"], (
        "without a body, and for the second time"
    )
    assert Halt.objects.get().actor == account.owner
    assert owner.get(address).json()["reason"] == "test; emergency stop"


@pytest.mark.parametrize(
    "body",
    [{"keep_position": True}, {"keep_positions": "perhaps"}, {"reason": "x" * 301}, {"reason": {"a": 1}}, [1], "text"],
)
def test_a_body_that_could_be_meant_otherwise_stops_nothing_and_says_why(owner, account, body):
    answer = owner.post(f"/api/v1/accounts/{account.pk}/halt/", body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert state(account) == "active"


def test_nobody_halts_or_lifts_what_is_anothers(client, account, operator):
    for person in (None, operator):
        if person:
            client.force_login(person)
        for act in ("halt", "resume"):
            address = f"/api/v1/accounts/{account.pk}/{act}/"
            answer = client.post(address, {"reason": "x"}, content_type="application/json")
            assert answer.status_code == (403 if person else 401), "who may see all halts only what is theirs"
    assert state(account) == "active"


def test_the_api_lifts_a_halt_for_a_person_with_the_permission_a_reason_and_the_proof(account, operator, client):
    Account.objects.update(owner=operator)
    account.refresh_from_db()
    address = f"/api/v1/accounts/{account.pk}/resume/"
    client.force_login(operator)
    account_halt(account=account, reason="test")
    assert client.post(address, {"reason": " "}, content_type="application/json").status_code == 400
    User.objects.update(is_superuser=False)
    answer = client.post(address, {"reason": "looked at"}, content_type="application/json")
    assert (answer.status_code, state(account)) == (403, "halted")
    User.objects.update(is_superuser=True)
    Halt.objects.update(flat_at=None)
    answer = client.post(address, {"reason": "looked at"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "not-flat")
    account_halt(account=account, reason="again")
    answer = client.post(address, {"reason": "looked at"}, content_type="application/json")
    assert (answer.status_code, answer.json()["result"]["state"]) == (200, "active"), answer.content
    answer = client.post(address, {"reason": "looked at"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "active")


# Pages


def test_one_account_or_all_are_stopped_from_the_page(owner, account):
    second, foreign = make_account("second"), make_account("foreign")
    Account.objects.filter(pk=second.pk).update(owner=account.owner)
    page = owner.get("/halt/").content.decode()
    assert "desk" in page
    assert "foreign" not in page
    done = owner.post("/halt/", {"account": str(second.pk), "reason": "only this"}, follow=True)
    assert done.redirect_chain == [("/halt/state/", 302)]
    assert "Why: only this" in done.content.decode()
    assert (state(account), state(second)) == ("active", "halted")
    owner.post("/halt/", {"account": "all", "keep_positions": "yes"})
    assert (state(account), state(foreign)) == ("halted", "active")
    assert Halt.objects.get(account=account).keep_positions


@pytest.mark.parametrize("wanted", ["", "0", "none", "9" * 30, "-1", "all;"])
def test_a_press_that_names_no_account_of_the_person_stops_nothing_and_says_so(owner, account, wanted):
    answer = owner.post("/halt/", {"account": wanted}, follow=True)
    assert "nothing was stopped" in answer.content.decode()
    assert state(account) == "active"


def test_without_its_token_the_button_does_nothing(account):
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(account.owner)
    for address in ("/halt/", f"/api/v1/accounts/{account.pk}/halt/"):
        assert careful.post(address, {"account": "all"}).status_code == 403
    assert state(account) == "active"


def test_how_it_went_is_asked_for_again_until_all_is_proved(owner, account):
    halt_latch(account=account, reason="test")
    page = owner.get("/halt/state/").content.decode()
    assert 'hx-trigger="every 1s"' in page
    assert '<meta http-equiv="refresh"' in page.partition("<noscript>")[2].partition("</noscript>")[0]
    account_halt(account=account, reason="test")
    part = owner.get("/halt/state/", headers={"HX-Request": "true"}).content.decode()
    assert "All are proved" in part
    assert "hx-trigger" not in part
    assert "<html" not in part


@pytest.mark.parametrize("path", ["", "market/", "diary/", "books/"])
def test_every_page_has_the_button_and_those_of_a_halted_account_say_so(owner, account, path):
    address = f"/accounts/{account.pk}/{path}"
    page = owner.get(address).content.decode()
    assert 'href="/halt/"' in page
    assert "Halted" not in page
    account_halt(account=account, reason="a fire in the data centre")
    page = owner.get(address).content.decode()
    assert "a fire in the data centre" in page
    assert "Proved flat after" in page


def test_other_pages_have_the_button_too(owner, account, operator):
    for address in ("/password/", "/halt/", "/halt/state/"):
        assert 'href="/halt/"' in owner.get(address).content.decode(), address
    owner.force_login(operator)
    for address in ("/", "/admin/", "/admin/accounts/account/", f"/admin/accounts/account/{account.pk}/change/"):
        assert 'href="/halt/"' in owner.get(address).content.decode(), address


def test_nobody_who_is_not_signed_in_sees_the_button(client):
    assert "/halt/" not in client.get("/sign-in/").content.decode()
    assert "/halt/" not in client.get("/admin/login/").content.decode()


# Admin


def press(client: Client, *accounts: Account, **form: str):
    wanted = {"action": "emergency_stop", "_selected_action": [str(one.pk) for one in accounts], **form}
    return client.post("/admin/accounts/account/", wanted, follow=True)


def test_the_admin_asks_first_and_then_stops_whosever_accounts(client, account, operator):
    client.force_login(operator)
    second = make_account("second")
    asked = press(client, account, second).content.decode()
    assert "these accounts now" in asked
    assert state(account) == "active"
    done = press(client, account, second, confirmed="yes", reason="by the operator").content.decode()
    assert done.count("proved in") == 2
    assert {state(account), state(second)} == {"halted"}
    assert {halt.actor for halt in Halt.objects.all()} == {operator}


def test_who_may_only_look_stops_and_lifts_nothing(client, account):
    from django.contrib.auth.models import Permission

    looker = User.objects.create_user("looker@example.org", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_account"))
    client.force_login(looker)
    press(client, account, confirmed="yes")
    assert state(account) == "active"
    looker.user_permissions.add(Permission.objects.get(codename="change_account"))
    account_halt(account=account, reason="test")
    page = f"/admin/accounts/account/{account.pk}/resume/"
    assert client.post(page, {"reason": "why not"}).status_code == 403
    assert page not in client.get(f"/admin/accounts/account/{account.pk}/change/").content.decode()
    looker.user_permissions.add(Permission.objects.get(codename="resume_account"))
    assert page in client.get(f"/admin/accounts/account/{account.pk}/change/").content.decode()
    assert client.post(page, {"reason": "looked at"}).status_code == 302
    assert state(account) == "active"


# What it is that one stops


@pytest.mark.parametrize(("fields", "badge"), [({}, "paper"), ({"mode": "live", "network": "testnet"}, "testnet")])
def test_the_api_says_plainly_whether_it_is_paper_live_or_testnet(client, fields, badge):
    from trading.tests.builders import make_bot

    bot = make_bot("told", account=make_account("told", venue="aster", **fields))
    Position.objects.create(
        account=bot.account, bot=bot, symbol="BTCUSDT", side="long", quantity=1, peak_quantity=1, cost=1, entry_price=1, leverage=1,
        opened=timezone.now(),
    )  # fmt: skip
    client.force_login(bot.account.owner)
    for path in ("accounts", "bots", "positions"):
        (row,) = client.get(f"/api/v1/{path}/").json()["results"]
        assert row["badge"] == badge, path
    assert client.get(f"/api/v1/accounts/{bot.account_id}/halt/").json()["badge"] == badge
