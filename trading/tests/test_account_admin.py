"""What a person does to an account in the admin: check, reconcile, promote, open and close the gate to real money."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.domain.credentials import AsterV3Keys
from accounts.models import Account, AuditEntry, LiveApproval, User
from accounts.services import account_create, bot_create
from accounts.services.credentials import credentials_save
from accounts.services.promotion import account_promote
from decisions.models import Cycle, Decision
from marketdata.models import Feed
from tests.support.access import confirmed
from tests.support.demo import person
from trading.models import Reconciliation
from trading.services.live_gate import live_allowed
from trading.services.standing import account_reduce
from trading.tests.live_kit import LiveHouse, live_house

pytestmark = pytest.mark.django_db

LIST = "admin:accounts_account_changelist"


@pytest.fixture
def boss(client: Any) -> Any:
    client.user = person("boss@vibex.local", is_staff=True, is_superuser=True)
    client.force_login(client.user)
    return confirmed(client)


@pytest.fixture
def paper(boss: Any) -> Account:
    Feed.objects.create(venue="aster", kind=Feed.Kind.LIVE, market_at=timezone.now(), running=True)
    return account_create(owner=boss.user, name="paper", venue="aster")


@pytest.fixture
def live(paper: Account, boss: Any) -> Account:
    return account_promote(paper=paper, name="main", actor=boss.user)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHouse]:
    with live_house(monkeypatch) as made:
        yield made


def page(name: str, account: Account) -> str:
    return reverse(f"admin:accounts_account_{name}", args=[account.pk])


def act(client: Any, action: str, *accounts: Account) -> Any:
    form = {"action": action, "_selected_action": [account.pk for account in accounts]}
    return client.post(reverse(LIST), form, follow=True)


def words(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def meet_all(live: Account, actor: User) -> None:
    """Let everything be so that only a person can not bring about by the page itself."""
    assert live.promoted_from is not None
    bot = bot_create(
        account=live.promoted_from, name="first", model="rules/trend", symbols=["BTCUSDT"], interval="3m", timeframes=["3m"]
    )  # fmt: skip
    now = timezone.now()
    for began in (now - timedelta(days=15), now - timedelta(minutes=1)):
        cycle = Cycle.objects.create(
            bot=bot,
            account=bot.account,
            scheduled_for=began,
            status="done",
            lease_until=began,
            began=began,
            ended=began,
        )
    Decision.objects.bulk_create(
        Decision(cycle=cycle, bot=bot, sequence=number, symbol="BTCUSDT", action="hold", verdict="accepted", at=now)
        for number in range(50)
    )
    keys = AsterV3Keys("0x" + "11" * 20, "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf", "0x" + "00" * 31 + "01")
    credentials_save(account=live, keys=keys, actor=actor)
    Reconciliation.objects.create(account=live, trigger="admin", agreed=True)


def staff(client: Any, *permissions: str) -> User:
    user = person("staff@vibex.local", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    confirmed(client)
    return user


# -- the connection --------------------------------------------------------------------------------------------------


def test_a_check_shows_what_the_venue_says_and_what_to_do(boss: Any, house: LiveHouse) -> None:
    address = page("check", house.account)
    house.served.control.log(clear=True)
    assert "Check now" in boss.get(address).content.decode()
    assert house.served.control.log() == []  # looking at the page asks nothing
    said = words(boss.post(address))
    assert "10,000.00 USDT in the wallet" in said
    assert "Position mode ✓ fine one-way" in said
    assert re.search(r"BTCUSDT ! look cross margin, leverage 20, .* Vibex switches it before the first order", said)
    assert {one["method"] for one in house.served.control.log()} == {"GET"}


def test_a_venue_that_refuses_the_keys_is_told(boss: Any, house: LiveHouse) -> None:
    wrong = AsterV3Keys("0x" + "11" * 20, "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf", "0x" + "00" * 31 + "01")
    credentials_save(account=house.account, keys=wrong, actor=boss.user)
    answer = boss.post(page("check", house.account))
    assert answer.status_code == 200
    assert "errornote" in answer.content.decode()
    assert "Check again" in answer.content.decode()


def test_an_account_without_keys_says_what_to_enter(boss: Any, live: Account) -> None:
    assert "ASTERDEX_" in words(boss.post(page("check", live)))


def test_paper_has_no_connection(boss: Any, paper: Account) -> None:
    assert "no connection to check" in words(boss.get(page("check", paper)))
    assert "<form" not in boss.get(page("check", paper)).content.decode().partition('id="content-main"')[2]


@pytest.mark.ci
def test_reconcile_from_the_list_says_how_it_went(boss: Any, house: LiveHouse) -> None:
    assert "books and exchange agree" in words(act(boss, "reconcile", house.account))
    assert Reconciliation.objects.get(account=house.account).trigger == "admin"
    house.fault("503", count=50)
    assert "not compared" in words(act(boss, "reconcile", house.account))


# -- promotion -------------------------------------------------------------------------------------------------------


def test_a_paper_account_is_promoted_on_a_page_of_its_own(boss: Any, paper: Account) -> None:
    answer = act(boss, "promote", paper)
    assert answer.redirect_chain[-1][0] == page("promote", paper)
    assert 'value="paper-live"' in answer.content.decode()
    answer = boss.post(page("promote", paper), {"name": "main"}, follow=True)
    made = Account.objects.get(name="main")
    assert answer.redirect_chain[-1][0] == page("change", made)
    assert "enter its keys next" in words(answer)
    assert (made.badge, made.promoted_from) == ("live", paper)
    assert AuditEntry.objects.get(action="account-promote").actor == boss.user


@pytest.mark.parametrize(
    ("name", "said"), [("paper", "You have an account of this name"), ("a b", "slug"), ("", "required")]
)
def test_a_refused_promotion_is_told_beside_the_form(boss: Any, paper: Account, name: str, said: str) -> None:
    answer = boss.post(page("promote", paper), {"name": name})
    assert answer.status_code == 200
    assert said in words(answer)
    assert Account.objects.count() == 1


# -- the gate --------------------------------------------------------------------------------------------------------


def test_the_page_shows_each_condition_with_its_numbers(boss: Any, live: Account) -> None:
    said = words(boss.get(page("live", live)))
    assert "This account opens nothing" in said
    assert "✗ open 0 of 14 days on paper" in said
    assert "✓ met No open incident" in said
    assert "6 of 8 conditions are open" in said
    assert "Type it exactly" not in said


def test_a_person_lets_it_trade_and_stops_it_again(boss: Any, live: Account, settings: Any) -> None:
    settings.FEATURES = replace(settings.FEATURES, live_trading=True)
    meet_all(live, boss.user)
    address = page("live", live)
    assert "Confirm the limits" in words(boss.get(address))
    said = words(boss.post(address, {"act": "confirm"}, follow=True))
    assert "The limits are confirmed" in said
    assert "✓ met Limits were set or confirmed by boss@vibex.local" in said
    assert "Type it exactly" in said

    said = words(boss.post(address, {"act": "approve", "name": " main"}))
    assert "Type the name of the account exactly as it is: main." in said
    assert live_allowed(live)

    said = words(boss.post(address, {"act": "approve", "name": "main"}, follow=True))
    assert "This account trades with real money. boss@vibex.local allowed it on" in said
    assert live_allowed(live) == ""

    assert "required" in words(boss.post(address, {"act": "revoke", "reason": ""}))
    said = words(boss.post(address, {"act": "revoke", "reason": "enough"}, follow=True))
    assert "opens nothing any more" in said
    assert "stopped" in said
    assert live_allowed(live)


def test_an_open_gate_cannot_be_forced_by_a_post(boss: Any, live: Account) -> None:
    said = words(boss.post(page("live", live), {"act": "approve", "name": "main"}))
    assert "6 of 8 conditions are open" in said
    assert not LiveApproval.objects.exists()


def test_reading_the_page_does_nothing(boss: Any, live: Account) -> None:
    boss.get(page("live", live), {"act": "confirm"})
    assert not AuditEntry.objects.filter(action="limits-confirm").exists()
    assert "nothing to do that is called" in words(boss.post(page("live", live), {"act": "sell"}, follow=True))


@pytest.mark.parametrize("name", ["paper", "test"])
def test_without_real_money_there_is_nothing_to_approve(boss: Any, paper: Account, name: str) -> None:
    account_create(owner=boss.user, name="test", venue="aster", mode="live", network="testnet")
    said = words(boss.get(page("live", Account.objects.get(name=name))))
    assert "needs no approval" in said
    assert "conditions" not in said


# -- who may ---------------------------------------------------------------------------------------------------------


def test_one_at_a_time(boss: Any, paper: Account, live: Account) -> None:
    for action in ("check_connection", "promote", "open_gate", "close_gate"):
        assert "Choose one account" in words(act(boss, action, paper, live)), action
    for action, name in (("check_connection", "check"), ("open_gate", "live"), ("close_gate", "live")):
        assert act(boss, action, live).redirect_chain[-1][0] == page(name, live)


def test_letting_trade_takes_a_permission_of_its_own(client: Any, live: Account, settings: Any, boss: Any) -> None:
    settings.FEATURES = replace(settings.FEATURES, live_trading=True)
    meet_all(live, boss.user)
    staff(client, "change_account", "view_account")
    boss_page = page("live", live)
    client.post(boss_page, {"act": "confirm"})
    said = words(client.get(boss_page))
    assert "You may not let it trade yourself" in said
    said = words(client.post(boss_page, {"act": "approve", "name": "main"}))
    assert not LiveApproval.objects.exists()
    assert "open_gate" not in client.get(reverse(LIST)).content.decode()
    assert client.post(page("promote", live.promoted_from), {"name": "second"}).status_code == 403  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["check", "promote", "live"])
def test_nobody_without_the_right_to_change_accounts_gets_there(client: Any, live: Account, name: str) -> None:
    staff(client, "view_account", "trade_live")
    for ask in (client.get, client.post):
        assert ask(page(name, live)).status_code == 403
    client.logout()
    assert client.get(page(name, live)).status_code == 302


@pytest.mark.parametrize("name", ["check", "promote", "live"])
def test_a_post_from_elsewhere_is_refused(boss: Any, live: Account, name: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(boss.user)
    assert strict.post(page(name, live), {"act": "confirm"}).status_code == 403
    assert not AuditEntry.objects.filter(action="limits-confirm").exists()


def test_an_account_that_is_not_there_is_not_found(boss: Any) -> None:
    for name in ("check", "promote", "live"):
        assert boss.get(reverse(f"admin:accounts_account_{name}", args=[4711])).status_code == 404


def test_the_page_of_an_account_leads_to_what_can_be_done(boss: Any, paper: Account, live: Account) -> None:
    mine = boss.get(page("change", live)).content.decode()
    assert page("check", live) in mine
    assert page("live", live) in mine
    assert page("promote", live) not in mine
    theirs = boss.get(page("change", paper)).content.decode()
    assert page("promote", paper) in theirs
    assert page("live", paper) not in theirs


def test_nothing_on_these_pages_breaks_the_policy(boss: Any, live: Account, paper: Account) -> None:
    pages = [boss.get(page(name, live)) for name in ("check", "live")] + [boss.get(page("promote", paper))]
    for answer in pages:
        text = answer.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text), answer.request["PATH_INFO"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.ci
def test_an_account_that_only_reduces_is_lifted_with_a_reason_once_its_books_agree(boss: Any, house: LiveHouse) -> None:
    account_reduce(account=house.account, reason="a code that nobody knows")
    url = f"/admin/accounts/account/{house.account.pk}/resume/"
    page = boss.get(url).content.decode()
    assert "a code that nobody knows" in page
    assert "required" in boss.post(url, {"reason": ""}).content.decode()
    house.served.control.fault("503", path="*")
    assert "503" in boss.post(url, {"reason": "looked at it"}).content.decode()
    assert house.account.state == "reducing"
    house.served.control.clear()
    assert boss.post(url, {"reason": "looked at it"}).status_code == 302
    assert (house.account.state, house.account.state_reason) == ("active", "looked at it")
    assert AuditEntry.objects.filter(action="account-activate").exists()
    assert "nothing to lift" in boss.get(url).content.decode()


@pytest.mark.django_db
def test_only_who_may_change_accounts_lifts_anything(client: Any, live: Account) -> None:
    client.force_login(User.objects.create(email="reader@example.com", is_staff=True))
    assert client.post(f"/admin/accounts/account/{live.pk}/resume/", {"reason": "please"}).status_code == 403
