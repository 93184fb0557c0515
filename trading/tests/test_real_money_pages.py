"""On the pages and in the admin, what may raise the risk of real money asks for second factor or password first.

Both walks go over everything there is: a new page or action that nobody thought of fails them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.access.acts import Act
from accounts.access.admin_exports import EXPORTS
from accounts.access.admin_site import MoneyAdmin
from accounts.models import Account, AuditEntry, Bot, Incident, LiveApproval, Role, User
from accounts.services import account_create
from accounts.services.promotion import account_promote
from decisions.models import PromptTemplate
from tests.support.access import confirmed
from tests.support.demo import PASSWORD, bot_of, demo, person
from trading.models import Lock

pytestmark = pytest.mark.django_db
CONFIRM = "Confirm that it is you"
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/accounts/7/?x=1"}


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    cache.clear()


@pytest.fixture
def boss(client: Client) -> User:
    user = person("boss@vibex.local", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def paper(boss: User) -> Account:
    return account_create(owner=boss, name="paper", venue="aster")


@pytest.fixture
def real(paper: Account, boss: User) -> Account:
    return account_promote(paper=paper, name="main", actor=boss)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the bots that would have been started."""
    names: list[str] = []
    monkeypatch.setattr("trading.services.schedule.bot_start", lambda bot, **_: names.append(bot.name))
    monkeypatch.setattr("trading.services.act_work.bot_start", lambda bot, **_: names.append(bot.name) or bot)
    monkeypatch.setattr("trading.views_bot.ACTS", {"start": lambda bot, **_: names.append(bot.name), "stop": None})
    return names


def asked(answer: Any) -> bool:
    return bool(answer.status_code == 403 and CONFIRM in answer.content.decode())


def kept(answer: Any) -> str:
    return re.search(r'name="confirm_kept" value="([^"]+)"', answer.content.decode())[1]  # type: ignore[index]


# -- pages --------------------------------------------------------------------------------------------------------------


def test_a_bot_on_real_money_starts_after_the_confirmation_that_answers_the_form(client, real, started):
    address = f"/accounts/{real.pk}/acts/start-bot/{bot_of(real, 'first').pk}/"
    shown = client.get(address).content.decode()
    page = client.post(address, {"typed": "main", "version": re.search(r'name="version" value="([^"]+)"', shown)[1]})  # type: ignore[index]
    assert asked(page)
    assert "main" in page.content.decode()
    assert started == []
    done = client.post(address, {"confirm_kept": kept(page), "confirm_password": PASSWORD})
    assert (done.status_code, "/acts/done/" in done["Location"], started) == (302, True, ["first"])
    again = client.post(f"/bots/{bot_of(real, 'second').pk}/start/")
    assert "/acts/start-bot/" in again["Location"], "for a while no password is asked for, but what it will do is shown"
    assert started == ["first"]


def test_what_was_kept_does_nothing_else_for_nobody_else_and_not_for_ever(client, real, started, boss):
    first, second = (bot_of(real, name) for name in ("first", "second"))
    given = {"confirm_kept": kept(client.post(f"/bots/{first.pk}/start/")), "confirm_password": PASSWORD}
    assert client.post(f"/bots/{second.pk}/start/", given).status_code == 403
    for wrong in ("", "x", "é", given["confirm_kept"][:-3]):
        assert client.post(f"/bots/{first.pk}/start/", {**given, "confirm_kept": wrong}).status_code == 403
    import time_machine

    with time_machine.travel("2031-01-01"):
        client.force_login(boss)
        assert client.post(f"/bots/{first.pk}/start/", given).status_code == 403
    assert started == []


def test_htmx_is_sent_to_the_page_that_asks_and_comes_back(client, real, started):
    answer = client.post(f"/bots/{bot_of(real).pk}/start/", headers=HTMX)
    assert answer["HX-Redirect"] == "/confirm/?next=%2Faccounts%2F7%2F%3Fx%3D1"
    assert started == []


def test_on_paper_and_testnet_nothing_is_asked(client, paper, boss, started):
    testnet = account_create(owner=boss, name="try", venue="aster", mode="live", network="testnet")
    for account in (paper, testnet):
        assert client.post(f"/bots/{bot_of(account, account.name).pk}/start/").status_code == 302
    assert started == ["paper", "try"]


@pytest.mark.ci
def test_what_lowers_risk_never_asks(client, real):
    bot = bot_of(real, status="running")
    assert client.post(f"/bots/{bot.pk}/pause/").status_code == 302
    assert client.post(f"/bots/{bot.pk}/stop/").status_code == 302
    assert client.post("/halt/", {"account": str(real.pk), "reason": "now"}).status_code == 302
    bot.refresh_from_db()
    real.refresh_from_db()
    assert (bot.status, real.state) == ("stopped", "halted")


def test_a_viewer_sees_no_button_that_is_not_for_viewers_and_still_stops_what_runs(client):
    made = demo("viewer@vibex.local", cycles=1, equity_points=3, role=Role.VIEWER)
    client.force_login(made.user)
    Bot.objects.filter(pk=made.bot.pk).update(status="paused")
    page = client.get(f"/accounts/{made.account.pk}/").content.decode()
    assert ">Start</button>" not in page
    assert ">Stop</a>" in page
    refused = client.post(f"/bots/{made.bot.pk}/start/")
    assert (refused.status_code, "That is not allowed" in refused.content.decode()) == (403, True)
    client.post(f"/bots/{made.bot.pk}/stop/")
    made.bot.refresh_from_db()
    assert made.bot.status == "stopped"


# -- every page that acts ----------------------------------------------------------------------------------------------


def pages(resolver: Any, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in resolver.url_patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from pages(each, path)
        elif not path.startswith(("admin/", "api/", "docs", "__")):
            yield path, each


def filled(path: str) -> str:
    path = re.sub(r"<int:\w+>", "1", path)
    return "/" + re.sub(r"<(str|slug):\w+>", "start", path)


RAISES = {
    "accounts/<int:account_id>/acts/<str:act>/",
    "accounts/<int:account_id>/acts/<str:act>/<int:subject>/",
    "accounts/<int:account_id>/incidents/<int:incident_id>/resolve/",
    "bots/<int:bot_id>/<str:act>/",
    "bots/<int:bot_id>/decide/",
    "decisions/<int:decision_id>/<str:act>/",
    "prompts/add/",
    "setup/",
}
"""Pages that may raise risk: the tests above, those of approvals and of prompts, try them on real money."""


def test_every_page_that_takes_a_form_says_what_it_does(client, boss):
    raising = set()
    for path, pattern in pages(get_resolver()):
        acts = getattr(pattern.callback, "acts", None)
        if acts is None:
            assert client.post(filled(path)).status_code in (404, 405), f"{path} takes a form and says no act"
        elif {acts} if isinstance(acts, Act) else set(acts.values()) & {Act.TRADE, Act.MANAGE}:
            raising |= {path} if not isinstance(acts, Act) or acts in (Act.TRADE, Act.MANAGE) else set()
    assert raising == RAISES


def test_a_viewer_is_refused_by_every_page_that_may_raise_risk(client):
    client.force_login(person("viewer@vibex.local", role=Role.VIEWER))
    for path in RAISES:
        act = "approve" if path.startswith("decisions") else "resume" if "/acts/" in path else "start"
        assert client.post(filled(path).replace("start", act)).status_code == 403, path


def test_an_approval_on_real_money_asks_and_a_rejection_does_not(client, real, boss):
    made = demo("owner@vibex.local", cycles=1, equity_points=3)
    decision = made.account.cycles.filter(decisions__approval__isnull=False).first()
    assert decision is not None
    waits = decision.decisions.filter(approval__isnull=False).first()
    paper = account_create(owner=made.user, name="before", venue="aster")
    Account.objects.filter(pk=made.account.pk).update(mode="live", venue="aster", promoted_from=paper)
    client.force_login(made.user)
    assert asked(client.post(f"/decisions/{waits.pk}/approve/"))
    assert not asked(client.post(f"/decisions/{waits.pk}/reject/"))


def test_a_template_that_bots_follow_is_added_after_a_confirmation_where_there_is_real_money(client, boss):
    form = {"name": "calm", "text": "Be calm.\n=== user ===\n{snapshot}", "note": ""}
    before = PromptTemplate.objects.count()
    assert not asked(client.post("/prompts/add/", form))
    paper = account_create(owner=boss, name="paper", venue="aster")
    account_promote(paper=paper, name="main", actor=boss)
    added = PromptTemplate.objects.count()
    page = client.post("/prompts/add/", {**form, "name": "calmer"})
    assert asked(page) or added == before
    assert PromptTemplate.objects.count() == added


def test_an_import_asks_before_it_writes_also_where_there_is_no_real_money_yet(client, boss):
    """A file may name the network with real money: the first such account is not made without a confirmation either."""
    address = reverse("admin:accounts_account_import")
    text = "accounts: [{name: first, venue: aster, mode: live, network: mainnet}]"
    form = {"owner": boss.pk, "kind": "yaml", "text": text}
    assert not Account.objects.exists()
    looked = client.post(address, {**form, "act": "look"})
    assert looked.status_code == 200
    page = client.post(address, {**form, "act": "write", "seen": looked.context.get("seen") or "x"})
    assert asked(page)
    assert not Account.objects.exists()


# -- the admin ---------------------------------------------------------------------------------------------------------

NO_RISK = {
    "account": {
        *("emergency_stop", "check_connection", "reconcile", "resume", "promote", "open_gate", "close_gate"),
        *("check_view", "live_view:revoke", "live_view:reconcile", "import_view:look"),
        *("export_file", "export_table"),
    },
    "bot": {"pause", "stop", "export_table"},
    "periodictask": {"disable_tasks"},
    "crontabschedule": {"disable_tasks"},
    "intervalschedule": {"disable_tasks"},
}
"""All that the admin does without asking: it lowers risk, only looks, or leads to a page that asks."""


def all_admins() -> list[Any]:
    return list(admin.site._registry.values())


def test_nothing_else_in_the_admin_goes_without_asking():
    found = {each.opts.model_name: set(each.no_risk) for each in all_admins() if getattr(each, "no_risk", None)}
    assert found == NO_RISK
    assert {each.opts.model_name for each in all_admins() if isinstance(each, MoneyAdmin)} == {
        *NO_RISK,
        "lock",
        "incident",
    }


@pytest.fixture
def rows(real: Account) -> dict[str, Any]:
    return {
        "account": real,
        "bot": bot_of(real, "first"),
        "lock": Lock.objects.create(account=real, symbol="", reason="because", kind=""),
        "incident": Incident.objects.create(account=real, kind="gap", text="A candle is missing."),
    }


@pytest.mark.ci
def test_every_action_and_page_of_the_admin_asks_where_there_is_real_money(client, boss, rows):
    client.get("/profile/")
    before = AuditEntry.objects.count()
    for model_admin in all_admins():
        name = model_admin.opts.model_name
        base = f"admin:{model_admin.opts.app_label}_{name}"
        free = NO_RISK.get(name, set()) | EXPORTS
        for action in set(model_admin.get_actions(_request(boss))) - free:
            form = {"action": action, "select_across": "1", "_selected_action": ["1"]}
            assert asked(client.post(reverse(f"{base}_changelist"), form)), f"{name}: {action}"
        for pattern in model_admin.get_urls():
            if not pattern.name or pattern.name.endswith("_changelist") or pattern.callback.__name__ in free:
                continue
            key = rows[name].pk if name in rows else 1
            given = {each: str(key) for each in pattern.pattern.converters}
            form = {"mode": "live", "network": "mainnet", "account": str(rows["account"].pk)}
            answer = client.post(reverse(f"admin:{pattern.name}", kwargs=given or None), form)
            assert answer.status_code == 403, f"{name}: {pattern.name} {answer.status_code}"
    assert AuditEntry.objects.count() == before


def test_a_bot_and_the_limits_of_a_real_account_are_changed_after_a_confirmation_with_what_was_typed(client, rows):
    bot, limits = rows["bot"], rows["account"].limits
    address = reverse("admin:accounts_account_change", args=[limits.account_id])
    names = [field.name for field in limits._meta.fields if field.name not in ("id", "account")]
    form = {f"limits-0-{name}": str(getattr(limits, name) or "") for name in names} | {
        "name": "main", "time_zone": "UTC", "foreign_positions": "adopt", "limits-TOTAL_FORMS": "1", "limits-INITIAL_FORMS": "1",
        "limits-0-id": str(limits.pk), "limits-0-account": str(limits.account_id), "limits-0-max_leverage": "2",
        "credentials-TOTAL_FORMS": "0", "credentials-INITIAL_FORMS": "0",
    }  # fmt: skip
    page = client.post(address, form)
    assert asked(page)
    limits.refresh_from_db()
    assert limits.max_leverage == 5
    done = client.post(address, {"confirm_kept": kept(page), "confirm_password": PASSWORD})
    assert done.status_code == 302, done.context and done.context["errors"]
    limits.refresh_from_db()
    assert limits.max_leverage == 2
    assert client.post(reverse("admin:accounts_bot_change", args=[bot.pk]), {}).status_code == 200


def test_a_key_that_was_typed_stands_nowhere_in_the_page_that_asks(client, rows):
    address = reverse("admin:accounts_account_change", args=[rows["account"].pk])
    page = client.post(address, {"credentials-0-private_key": "0x" + "5eC2e7" * 10}).content.decode()
    assert CONFIRM in page
    assert "5eC2e7" not in page


def test_on_paper_the_admin_asks_nothing_beside_real_accounts_of_others(client, boss, rows, paper):
    bot = bot_of(paper, "on-paper")
    form = {"action": "start", "_selected_action": [bot.pk]}
    assert client.post(reverse("admin:accounts_bot_changelist"), form).status_code == 302
    assert client.post(reverse("admin:accounts_bot_change", args=[bot.pk]), {}).status_code == 200


def test_staff_without_the_right_to_trade_are_refused_in_the_admin_too(client, rows):
    from django.contrib.auth.models import Permission

    looker = person("looker@vibex.local", is_staff=True, role=Role.VIEWER)
    looker.user_permissions.set(Permission.objects.filter(codename__in=("change_bot", "view_bot", "change_lock")))
    client.force_login(looker)
    confirmed(client)
    form = {"action": "start", "_selected_action": [rows["bot"].pk]}
    assert client.post(reverse("admin:accounts_bot_changelist"), form).status_code == 403
    assert client.post(reverse("admin:accounts_bot_changelist"), form | {"action": "stop"}).status_code == 302


def test_the_gate_is_not_opened_without_a_confirmation(client, rows):
    address = reverse("admin:accounts_account_live", args=[rows["account"].pk])
    assert asked(client.post(address, {"act": "approve", "name": "main"}))
    assert asked(client.post(address, {"act": ["revoke", "approve"], "name": "main"})), "none of several slips through"
    assert not asked(client.post(address, {"act": "revoke", "reason": "enough"}))
    assert not LiveApproval.objects.exists()


def _request(user: User) -> Any:
    from django.test import RequestFactory

    request = RequestFactory().get("/admin/")
    request.user = user
    return request
