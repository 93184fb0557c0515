"""What has to be so before real money: every condition with its numbers, who opens the gate, and what closes it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.utils import timezone

from accounts.domain.credentials import AsterV3Keys
from accounts.models import Account, AuditEntry, Bot, Credentials, LiveApproval, RiskLimits, User
from accounts.services import account_create, bot_create, incident_open, incident_resolve, limits_change
from accounts.services.credentials import credentials_delete, credentials_save, kind_of
from accounts.services.promotion import account_promote, limits_confirm
from decisions.models import Cycle, Decision
from marketdata.models import Feed
from trading.domain.live_gate import (
    Compared,
    GateFacts,
    Measure,
    PaperRecord,
    conditions_of,
    open_of,
)
from trading.models import Reconciliation
from trading.services.live_gate import live_allowed, live_approve, live_gate_of, live_revoke
from trading.services.schedule import bot_start
from vibex.lib.account_keys import GivenKeys
from vibex.lib.errors import Rejected

NOW = datetime(2026, 3, 14, 15, tzinfo=UTC)
MEASURE = Measure(days=14, decisions=50)
PAPER = PaperRecord("paper", "aster", live_prices=True, first=NOW - timedelta(days=14), last=NOW, decisions=50)
GOOD = GateFacts(
    market="aster",
    feature_on=True,
    paper=PAPER,
    incidents=(),
    limits_seen_by="ann@example.com",
    keys_missing="",
    compared=Compared(NOW - timedelta(hours=1), agreed=True),
)


def open_texts(facts: GateFacts) -> list[str]:
    return [one.text for one in open_of(conditions_of(facts, MEASURE, now=NOW))]


# -- the conditions, without a database ------------------------------------------------------------------------------


def test_an_account_that_has_everything_may_trade() -> None:
    conditions = conditions_of(GOOD, MEASURE, now=NOW)
    assert open_of(conditions) == ()
    assert [one.text for one in conditions] == [
        "live trading is switched on",
        "promoted from paper, which trades on live prices of aster",
        "14 of 14 days on paper",
        "50 of 50 decisions on paper",
        "no open incident",
        "limits were set or confirmed by ann@example.com",
        "keys are there",
        "books and exchange agreed at 2026-03-14 14:00 UTC",
    ]


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"feature_on": False}, ["live trading is switched off"]),
        (
            {"paper": None},
            [
                "it names no paper account that it was promoted from",
                "0 of 14 days on paper",
                "0 of 50 decisions on paper",
            ],
        ),
        (
            {"paper": replace(PAPER, market="sim", live_prices=False)},
            [
                "paper trades on sim, which has no live prices: that proves nothing",
                "0 of 14 days on paper",
                "0 of 50 decisions on paper",
            ],
        ),
        ({"paper": replace(PAPER, market="aster_testnet")}, ["paper trades on aster_testnet, this account on aster"]),
        ({"paper": replace(PAPER, first=NOW - timedelta(days=6, hours=23))}, ["6 of 14 days on paper"]),
        ({"paper": replace(PAPER, first=NOW - timedelta(days=14) + timedelta(seconds=1))}, ["13 of 14 days on paper"]),
        ({"paper": replace(PAPER, first=NOW, last=NOW - timedelta(days=30))}, ["0 of 14 days on paper"]),
        ({"paper": replace(PAPER, first=None, last=None)}, ["0 of 14 days on paper"]),
        ({"paper": replace(PAPER, decisions=31)}, ["31 of 50 decisions on paper"]),
        ({"incidents": ("paper: no stop",)}, ["1 open incident: paper: no stop"]),
        ({"incidents": ("a: 1", "b: 2", "c: 3", "d: 4")}, ["4 open incidents: a: 1; b: 2; c: 3; …"]),
        ({"limits_seen_by": ""}, ["limits were never looked at"]),
        ({"keys_missing": "set ASTERDEX_USER_MAIN"}, ["no usable keys"]),
        ({"compared": None}, ["books and exchange were never compared"]),
        (
            {"compared": Compared(NOW, agreed=False, left=2)},
            ["books and exchange differ: 2 left for a person at 2026-03-14 15:00 UTC"],
        ),
        (
            {"compared": Compared(NOW - timedelta(hours=25), agreed=True)},
            ["books and exchange were last compared at 2026-03-13 14:00 UTC, more than a day ago"],
        ),
    ],
)
def test_what_is_missing_is_told_with_its_numbers(changes: dict[str, Any], texts: list[str]) -> None:
    facts = replace(GOOD, **changes)
    assert open_texts(facts) == texts
    assert all(one.remedy for one in open_of(conditions_of(facts, MEASURE, now=NOW)))


# -- the gate over the database --------------------------------------------------------------------------------------

KEYS = AsterV3Keys(
    "0x" + "11" * 20, "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf", "0x" + "00" * 31 + "01"
)  # the private key 1, which everybody knows


@pytest.fixture
def _on(settings: Any) -> None:
    settings.FEATURES = replace(settings.FEATURES, live_trading=True)


@pytest.fixture
def actor(db: None) -> User:
    user = User.objects.create_user("boss@vibex.local", "correct horse battery", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="trade_live"))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def paper(actor: User) -> Account:
    Feed.objects.create(venue="aster", kind=Feed.Kind.LIVE, market_at=timezone.now(), running=True)
    return account_create(owner=actor, name="paper", venue="aster")


@pytest.fixture
def live(paper: Account, actor: User) -> Account:
    return account_promote(paper=paper, name="main", actor=actor)


def bot_on(account: Account) -> Bot:
    return bot_create(
        account=account, name="first", model="rules/trend", symbols=["BTCUSDT"], interval="3m", timeframes=["3m"]
    )


def traded(account: Account, *, days: int = 14, decisions: int = 50) -> None:
    """Let an account have traded: two whole cycles at the ends of the time, with all decisions in the second."""
    bot, now = bot_on(account), timezone.now()
    for began in (now - timedelta(days=days, minutes=1), now - timedelta(minutes=1)):
        cycle = Cycle.objects.create(
            bot=bot, account=account, scheduled_for=began, status=Cycle.Status.DONE, lease_until=began, began=began,
            ended=began + timedelta(seconds=2),
        )  # fmt: skip
    Decision.objects.bulk_create(
        Decision(cycle=cycle, bot=bot, sequence=number, symbol="BTCUSDT", action="hold", verdict="accepted", at=now)
        for number in range(decisions)
    )


def ready(live: Account, actor: User) -> None:
    assert live.promoted_from is not None
    traded(live.promoted_from)
    credentials_save(account=live, keys=KEYS, actor=actor)
    limits_confirm(account=live, actor=actor)
    Reconciliation.objects.create(account=live, trigger="admin", agreed=True)


def test_a_new_live_account_is_told_all_that_it_lacks(live: Account) -> None:
    texts = [one.text for one in live_gate_of(live).open]
    assert texts[:4] == [
        "live trading is switched off",
        "0 of 14 days on paper",
        "0 of 50 decisions on paper",
        "limits were never looked at",
    ]
    assert texts[4:] == ["no usable keys", "books and exchange were never compared"]


@pytest.mark.usefixtures("_on")
def test_a_person_opens_the_gate_and_what_was_seen_is_kept(live: Account, actor: User) -> None:
    ready(live, actor)
    assert "Nobody has let main trade" in live_allowed(live)
    approval = live_approve(account=live, typed_name="main", actor=actor)
    assert live_allowed(live) == ""
    assert (approval.actor, approval.revoked) == (actor, None)
    assert approval.evidence["conditions"]["days"] == {"met": True, "text": "14 of 14 days on paper"}
    assert approval.evidence["decisions"] == 50
    entry = AuditEntry.objects.get(action="live-approve")
    assert (entry.actor, entry.object_id, entry.after) == (actor, str(live.pk), approval.evidence)
    assert entry.account_id == live.pk


@pytest.mark.usefixtures("_on")
def test_it_is_closed_with_a_reason_and_opened_again(live: Account, actor: User) -> None:
    ready(live, actor)
    live_approve(account=live, typed_name="main", actor=actor)
    with pytest.raises(Rejected, match="Say why"):
        live_revoke(account=live, actor=actor, reason="  ")
    ended = live_revoke(account=live, actor=actor, reason="the model misbehaves")
    assert (ended.revoked_by, ended.revoked is None) == (actor, False)
    entry = AuditEntry.objects.get(action="live-revoke")
    assert (entry.account_id, entry.after) == (live.pk, {"reason": "the model misbehaves"})
    assert "Nobody has let main trade" in live_allowed(live)
    with pytest.raises(Rejected, match="no approval"):
        live_revoke(account=live, actor=actor, reason="again")
    live_approve(account=live, typed_name="main", actor=actor)
    assert live_allowed(live) == ""
    assert LiveApproval.objects.count() == 2


@pytest.mark.usefixtures("_on")
@pytest.mark.parametrize(("typed", "said"), [("Main", "exactly"), ("main ", "exactly"), ("", "exactly")])
def test_the_name_has_to_be_typed_exactly(live: Account, actor: User, typed: str, said: str) -> None:
    ready(live, actor)
    with pytest.raises(Rejected, match=said):
        live_approve(account=live, typed_name=typed, actor=actor)
    assert not LiveApproval.objects.exists()


@pytest.mark.usefixtures("_on")
def test_only_a_person_with_the_permission_opens_it(live: Account, actor: User) -> None:
    ready(live, actor)
    other = User.objects.create_user("staff@vibex.local", "correct horse battery", is_staff=True)
    with pytest.raises(Rejected, match=r"accounts\.trade_live"):
        live_approve(account=live, typed_name="main", actor=other)
    actor.is_active = False
    actor.save()
    with pytest.raises(Rejected, match=r"accounts\.trade_live"):
        live_approve(account=live, typed_name="main", actor=User.objects.get(pk=actor.pk))


@pytest.mark.usefixtures("_on")
def test_it_is_opened_once(live: Account, actor: User) -> None:
    ready(live, actor)
    live_approve(account=live, typed_name="main", actor=actor)
    with pytest.raises(Rejected, match="approved already, by boss"):
        live_approve(account=live, typed_name="main", actor=actor)


@pytest.mark.usefixtures("_on")
@pytest.mark.parametrize("whose", ["live", "paper"])
def test_an_open_incident_of_either_account_keeps_it_closed(live: Account, actor: User, whose: str) -> None:
    ready(live, actor)
    account = live if whose == "live" else live.promoted_from
    incident = incident_open(account=account, kind="no-stop", text="A stop is missing.")
    with pytest.raises(Rejected, match=f"1 open incident: {account and account.name}: A stop is missing"):
        live_approve(account=live, typed_name="main", actor=actor)
    incident_resolve(incident=incident, actor=actor)
    live_approve(account=live, typed_name="main", actor=actor)


@pytest.mark.usefixtures("_on")
def test_only_whole_cycles_and_what_was_acted_on_count(live: Account, actor: User) -> None:
    ready(live, actor)
    first = Cycle.objects.order_by("began")[0]
    Cycle.objects.filter(pk=first.pk).update(status=Cycle.Status.FAILED)
    Decision.objects.filter(sequence__lt=10).update(kind=Decision.Kind.SHADOW)
    texts = [one.text for one in live_gate_of(live).open]
    assert texts == ["0 of 14 days on paper", "40 of 50 decisions on paper"]


@pytest.mark.usefixtures("_on")
def test_days_are_those_of_the_wall_and_not_of_a_replay(live: Account, actor: User) -> None:
    ready(live, actor)
    now = timezone.now()
    for cycle in Cycle.objects.all():
        times = {"began": now - timedelta(hours=1), "ended": now}
        Cycle.objects.filter(pk=cycle.pk).update(scheduled_for=cycle.scheduled_for - timedelta(days=300), **times)
    assert [one.text for one in live_gate_of(live).open] == ["0 of 14 days on paper"]


@pytest.mark.usefixtures("_on")
@pytest.mark.parametrize("kind", [Feed.Kind.SIMULATED, Feed.Kind.RECORDED])
def test_a_market_without_live_prices_proves_nothing(live: Account, actor: User, kind: str) -> None:
    ready(live, actor)
    Feed.objects.update(kind=kind)
    assert "has no live prices" in live_gate_of(live).open[0].text


@pytest.mark.usefixtures("_on")
def test_limits_that_a_program_changed_have_to_be_looked_at_again(live: Account, actor: User) -> None:
    ready(live, actor)
    limits = RiskLimits.objects.get(account=live)
    limits.max_leverage = 2
    limits_change(limits=limits, actor=None)
    assert [one.text for one in live_gate_of(live).open] == ["limits were never looked at"]
    limits.max_leverage = 3
    limits_change(limits=limits, actor=actor)
    assert live_gate_of(live).open == ()


@pytest.mark.usefixtures("_on")
def test_keys_that_are_changed_afterwards_need_a_person_again(live: Account, actor: User) -> None:
    ready(live, actor)
    live_approve(account=live, typed_name="main", actor=actor)
    credentials_save(account=live, keys=KEYS, actor=actor)
    assert live_allowed(live) == ""  # the same keys: nothing was changed
    Credentials.objects.update(updated=timezone.now() + timedelta(seconds=1))
    assert "keys of main were changed" in live_allowed(live)
    Credentials.objects.update(updated=timezone.now() - timedelta(seconds=1))
    LiveApproval.objects.update(at=timezone.now() - timedelta(hours=1))
    live_approve(account=live, typed_name="main", actor=actor)
    assert live_allowed(live) == ""
    assert LiveApproval.objects.filter(revoked__isnull=False).count() == 1


@pytest.mark.usefixtures("_on")
def test_keys_that_come_from_variables_afterwards_need_a_person_again(
    live: Account, actor: User, settings: Any
) -> None:
    ready(live, actor)
    live_approve(account=live, typed_name="main", actor=actor)
    credentials_delete(credentials=Credentials.objects.get(), actor=actor)
    assert "keys of main were changed" in live_allowed(live)  # there are none
    settings.ACCOUNT_KEYS = {("aster", "MAIN"): GivenKeys(kind_of(KEYS), asdict(KEYS))}
    assert live_allowed(live) == ""  # the same wallet, from variables
    other = asdict(KEYS) | {"user": "0x" + 20 * "ee"}
    settings.ACCOUNT_KEYS = {("aster", "MAIN"): GivenKeys(kind_of(KEYS), other)}
    assert "keys of main were changed" in live_allowed(live)
    live_approve(account=live, typed_name="main", actor=actor)
    assert live_allowed(live) == ""
    assert LiveApproval.objects.get(revoked=None).evidence["signs"]["user"] == other["user"]


@pytest.mark.ci
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_on")
def test_of_two_people_who_open_it_at_once_one_does(live: Account, actor: User) -> None:
    ready(live, actor)
    at_once = threading.Barrier(2)

    def approve(_: int) -> str:
        try:
            at_once.wait(10)
            live_approve(account=Account.objects.get(pk=live.pk), typed_name="main", actor=actor)
        except Rejected as refusal:
            return refusal.code
        finally:
            connection.close()
        return "approved now"

    with ThreadPoolExecutor(2) as both:
        assert sorted(both.map(approve, range(2))) == ["approved", "approved now"]
    assert AuditEntry.objects.filter(action="live-approve").count() == 1


# -- where it is asked -----------------------------------------------------------------------------------------------


def test_paper_and_testnet_need_no_gate(paper: Account, actor: User, django_assert_num_queries: Any) -> None:
    testnet = account_create(owner=actor, name="test", venue="aster", mode="live", network="testnet")
    for account in (paper, testnet):
        with django_assert_num_queries(0):
            assert live_allowed(account) == ""
        assert live_gate_of(account).conditions == ()
        with pytest.raises(Rejected, match="no real money"):
            live_approve(account=account, typed_name=account.name, actor=actor)


def test_a_testnet_that_leads_to_the_mainnet_is_none(actor: User, settings: Any) -> None:
    settings.ASTERDEX_TESTNET_REST_URL = "https://fapi.asterdex.com"
    testnet = account_create(owner=actor, name="test", venue="aster", mode="live", network="testnet")
    assert "leads to the mainnet" in live_allowed(testnet)


@pytest.mark.usefixtures("_on")
def test_it_costs_one_query(live: Account, actor: User, settings: Any, django_assert_num_queries: Any) -> None:
    ready(live, actor)
    for _ in range(2):
        with django_assert_num_queries(1):
            live_allowed(live)
        if not LiveApproval.objects.exists():
            live_approve(account=live, typed_name="main", actor=actor)
    settings.FEATURES = replace(settings.FEATURES, live_trading=False)
    with django_assert_num_queries(0):
        assert "FEATURE_LIVE_TRADING" in live_allowed(live)


@pytest.mark.usefixtures("_on")
def test_a_bot_starts_on_real_money_only_behind_an_open_gate(live: Account, actor: User) -> None:
    ready(live, actor)
    bot = bot_on(live)
    with pytest.raises(Rejected, match="Nobody has let main trade"):
        bot_start(bot=bot, actor=actor)
    live_approve(account=live, typed_name="main", actor=actor)
    assert bot_start(bot=bot, actor=actor).status == Bot.Status.RUNNING


# -- promotion -------------------------------------------------------------------------------------------------------


def test_a_promoted_account_has_the_limits_of_its_paper_account_and_no_bots(paper: Account, actor: User) -> None:
    bot_start(bot=bot_on(paper), actor=actor)
    RiskLimits.objects.filter(account=paper).update(max_leverage=2, trailing_stop="0.02")
    Account.objects.filter(pk=paper.pk).update(time_zone="Asia/Tokyo", foreign_positions="flag")
    paper.refresh_from_db()
    live = account_promote(paper=paper, name="main", actor=actor)
    live.refresh_from_db()
    assert (live.mode, live.network, live.promoted_from, live.owner) == ("live", "mainnet", paper, paper.owner)
    assert (live.venue, live.time_zone, live.foreign_positions) == ("aster", "Asia/Tokyo", "flag")
    assert (live.limits.max_leverage, str(live.limits.trailing_stop)) == (2, "0.020000")
    assert live.limits.pk != paper.limits.pk
    assert RiskLimits.objects.get(account=paper).max_leverage == 2
    assert not live.bots.exists()
    assert AuditEntry.objects.get(action="account-promote").actor == actor


def test_what_cannot_be_promoted_is_refused(paper: Account, live: Account, actor: User) -> None:
    simulated = account_create(owner=actor, name="sim", venue="sim")
    for account, name, said in (
        (live, "other", "live already"),
        (simulated, "other", "An account can be live at aster"),
        (paper, "main", "You have an account of this name"),
        (paper, "a b", "name"),
    ):
        with pytest.raises(Rejected, match=said):
            account_promote(paper=account, name=name, actor=actor)
    RiskLimits.objects.filter(account=paper).delete()
    with pytest.raises(Rejected, match="no limits"):
        account_promote(paper=paper, name="other", actor=actor)
    assert not Account.objects.filter(name="other").exists()
