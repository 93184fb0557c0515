"""Keys are entered in the admin and never shown there, in the API, in the audit trail or in a log."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.domain.credentials import AsterV1Keys, AsterV3Keys
from accounts.models import Account, AuditEntry, Credentials
from accounts.services import account_create
from accounts.services.credentials import credentials_save, keys_of
from accounts.tests.test_admin import form_of
from tests.support.access import confirmed
from tests.support.demo import account_of, person

pytestmark = pytest.mark.django_db
USER, SIGNER = "0x" + 20 * "a1", "0x" + 20 * "b2"
PRIVATE, OTHER = 32 * "c3", 32 * "d4"
V3 = {"kind": "aster_v3", "user": USER, "signer": SIGNER, "private_key": "0x" + PRIVATE}
V1 = {"kind": "aster_v1", "key": "a-key-for-the-venue-42", "secret": "the-secret-for-the-venue"}
STORED = AsterV3Keys(USER, SIGNER, "0x" + PRIVATE)


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    return confirmed(client)


@pytest.fixture
def account() -> Account:
    return account_create(owner=person(), name="main", venue="aster", mode="live", network="testnet")


def url(account: Account) -> str:
    return reverse("admin:accounts_account_change", args=[account.pk])


def entered(account: Account, **parts: str) -> dict[str, str]:
    """Return what a browser posts for the page of a live account."""
    row = Credentials.objects.filter(account=account).first()
    form: dict[str, str] = form_of(account)
    form |= {
        "credentials-TOTAL_FORMS": "1",
        "credentials-INITIAL_FORMS": "1" if row else "0",
        "credentials-0-id": str(row.pk) if row else "",
        "credentials-0-account": str(account.pk),
        "credentials-0-kind": row.kind if row else "aster_v3",
    }
    if row:
        form |= {f"credentials-0-{name}": value for name, value in row.public.items() if name != "key"}
    return form | {f"credentials-0-{name}": value for name, value in parts.items()}


def faults(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200
    return answer.context["inline_admin_formsets"][1].formset.forms[0].errors


def test_keys_are_entered_on_the_page_of_the_account(boss: Client, account: Account) -> None:
    assert boss.post(url(account), entered(account, **V3)).status_code == 302
    assert keys_of(account) == STORED
    row = Credentials.objects.get()
    assert row.updated_by is not None
    assert row.updated_by.email == "boss@vibex.local"
    page = boss.get(url(account)).content.decode()
    assert SIGNER in page
    assert "boss@vibex.local" in page


@pytest.mark.parametrize(("parts", "secrets"), [(V3, [PRIVATE]), (V1, [V1["key"], V1["secret"]])])
def test_no_secret_comes_out_again(
    boss: Client, account: Account, caplog: pytest.LogCaptureFixture, parts: dict[str, str], secrets: list[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        boss.post(url(account), entered(account, **parts, **{"limits-0-max_leverage": "99"})),
        boss.post(url(account), entered(account, **(parts | {"user": "0x12", "signer": "0x"}))),
        boss.post(url(account), entered(account, **parts)),
        boss.get(url(account)),
        boss.get(reverse("admin:accounts_account_changelist")),
        boss.get(reverse("admin:accounts_auditentry_changelist")),
        boss.get(reverse("admin:accounts_account_history", args=[account.pk])),
        boss.get(reverse("admin:admin_logentry_changelist")),
    ]
    owner = Client()
    owner.force_login(account.owner)
    answers += [owner.get("/api/v1/accounts/"), owner.get(f"/api/v1/accounts/{account.pk}/")]
    assert Credentials.objects.exists()
    assert {answer.status_code for answer in answers} == {200, 302}
    written = "".join(answer.content.decode() for answer in answers) + caplog.text
    written += json.dumps([*AuditEntry.objects.values("before", "after"), *LogEntry.objects.values("change_message")])
    for secret in secrets:
        assert secret not in written


def test_a_secret_in_the_field_of_an_address_is_not_shown_again(boss: Client, account: Account) -> None:
    answer = boss.post(url(account), entered(account, **(V3 | {"signer": "0x" + OTHER})))
    assert "address" in faults(answer)["signer"][0]
    assert OTHER not in answer.content.decode()


def test_a_saved_form_with_empty_secrets_keeps_the_old_ones(boss: Client, account: Account) -> None:
    boss.post(url(account), entered(account, **V3))
    new = "0x" + 20 * "e5"
    assert boss.post(url(account), entered(account, private_key="", user=new)).status_code == 302
    assert keys_of(account) == AsterV3Keys(new, SIGNER, "0x" + PRIVATE)
    before = Credentials.objects.get().sealed
    assert boss.post(url(account), entered(account, private_key="")).status_code == 302
    assert Credentials.objects.get().sealed == before


def test_one_secret_of_two_may_be_replaced(boss: Client, account: Account) -> None:
    boss.post(url(account), entered(account, **V1))
    assert boss.post(url(account), entered(account, secret="the-other-secret")).status_code == 302
    assert keys_of(account) == AsterV1Keys(V1["key"], "the-other-secret")


def test_another_kind_wants_its_secrets_and_nothing_of_the_other_kind(boss: Client, account: Account) -> None:
    boss.post(url(account), entered(account, **V3))
    found = faults(boss.post(url(account), entered(account, kind="aster_v1")))
    assert set(found) == {"key", "secret"}
    found = faults(boss.post(url(account), entered(account, **V1, private_key=OTHER)))
    assert set(found) == {"private_key"}
    assert keys_of(account) == STORED
    assert boss.post(url(account), entered(account, **V1)).status_code == 302
    assert keys_of(account) == AsterV1Keys(V1["key"], V1["secret"])


@pytest.mark.parametrize(
    ("stored", "changes", "field"),
    [(V3, {"signer": "0x" + 20 * "e5"}, "private_key"), (V1, {"key": "another-key-of-the-venue"}, "secret")],
)
def test_a_new_half_wants_its_other_half(
    boss: Client, account: Account, stored: dict[str, str], changes: dict[str, str], field: str
) -> None:
    boss.post(url(account), entered(account, **stored))
    assert "belongs to the old one" in faults(boss.post(url(account), entered(account, **changes)))[field][0]


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        (V3 | {"private_key": "abc"}, "private_key"),
        (V3 | {"private_key": ""}, "private_key"),
        (V3 | {"user": ""}, "user"),
        (V3 | {"user": "0x" + 20 * "zz"}, "user"),
        (V1 | {"secret": ""}, "secret"),
        (V1 | {"key": "two words"}, "key"),
        (V1 | {"kind": "wallet"}, "kind"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    boss: Client, account: Account, parts: dict[str, str], field: str
) -> None:
    assert set(faults(boss.post(url(account), entered(account, **parts)))) == {field}
    assert not Credentials.objects.exists()


def test_a_page_on_which_no_keys_were_entered_can_be_saved(boss: Client, account: Account) -> None:
    assert boss.post(url(account), entered(account)).status_code == 302
    assert not Credentials.objects.exists()


def test_keys_that_do_not_open_have_to_be_entered_anew(boss: Client, account: Account, settings: Any) -> None:
    boss.post(url(account), entered(account, **V3))
    settings.CREDENTIALS_KEYS = (Fernet.generate_key().decode(),)
    found = faults(boss.post(url(account), entered(account, user="0x" + 20 * "e5")))
    assert "does not open" in found["private_key"][0]
    assert boss.post(url(account), entered(account, private_key=OTHER)).status_code == 302
    assert keys_of(account) == AsterV3Keys(USER, SIGNER, "0x" + OTHER)


def test_keys_can_be_deleted(boss: Client, account: Account) -> None:
    boss.post(url(account), entered(account, **V3))
    assert boss.post(url(account), entered(account, DELETE="on")).status_code == 302
    assert not Credentials.objects.exists()
    assert AuditEntry.objects.filter(action="credentials-delete").exists()


def test_a_paper_account_has_no_form_for_keys_and_takes_none(boss: Client) -> None:
    paper = account_of(person(), venue="aster")
    shown = [inline.formset.model for inline in boss.get(url(paper)).context["inline_admin_formsets"]]
    assert Credentials not in shown
    assert boss.post(url(paper), entered(paper, **V3)).status_code == 302
    assert not Credentials.objects.exists()


def test_who_may_not_change_keys_neither_sees_nor_sets_them(client: Client, account: Account) -> None:
    clerk = person("clerk@vibex.local", is_staff=True)
    names = ["view_account", "change_account", "view_risklimits", "change_risklimits", "view_credentials"]
    clerk.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(clerk)
    credentials_save(account=account, keys=STORED, actor=None)
    assert SIGNER not in client.get(url(account)).content.decode()
    assert client.post(url(account), entered(account, **(V3 | {"private_key": OTHER}))).status_code == 302
    assert keys_of(account) == STORED


# --- what is decided when an account is made


def added(boss: Client, **changes: Any) -> Any:
    address = reverse("admin:accounts_account_add")
    inline = boss.get(address).context["inline_admin_formsets"][0].formset.forms[0]
    form = {
        "name": "real", "venue": "aster", "mode": "live", "network": "mainnet", "foreign_positions": "flag",
        "starting_balance": "500", "time_zone": "UTC", "limits-TOTAL_FORMS": "1", "limits-INITIAL_FORMS": "0",
    }  # fmt: skip
    form |= {f"limits-0-{name}": str(each.initial) for name, each in inline.fields.items() if each.initial is not None}
    return boss.post(address, form | changes)


def test_a_live_account_is_made_from_a_paper_one(boss: Client) -> None:
    owner = person()
    paper = account_of(owner, venue="aster")
    answer = added(boss, owner=owner.pk, promoted_from=paper.pk)
    assert answer.status_code == 302, answer.context["errors"]
    account = Account.objects.get(name="real")
    assert (account.mode, account.promoted_from, account.foreign_positions) == ("live", paper, "flag")
    assert "live" in boss.get(reverse("admin:accounts_account_changelist")).content.decode()


def test_a_live_account_without_its_paper_account_is_refused_beside_the_field(boss: Client) -> None:
    owner = person()
    elsewhere = account_of(owner, venue="sim")
    for chosen in ("", elsewhere.pk):
        answer = added(boss, owner=owner.pk, promoted_from=chosen)
        assert answer.status_code == 200
        assert set(answer.context["adminform"].form.errors) == {"promoted_from"}


@pytest.mark.parametrize("venue", ["nowhere", "aster_testnet", ""])
def test_a_venue_that_does_not_exist_is_refused(boss: Client, venue: str) -> None:
    answer = added(boss, owner=person().pk, venue=venue, mode="paper")
    assert set(answer.context["adminform"].form.errors) == {"venue"}


def test_only_what_becomes_of_foreign_positions_is_changed_later(boss: Client, account: Account) -> None:
    fixed = {"venue": "sim", "mode": "paper", "network": "mainnet", "promoted_from": "", "starting_balance": "1"}
    assert boss.post(url(account), entered(account) | fixed | {"foreign_positions": "flatten"}).status_code == 302
    account.refresh_from_db()
    assert (account.venue, account.mode, account.network, account.starting_balance) == (
        "aster",
        "live",
        "testnet",
        10_000,
    )
    assert account.foreign_positions == "flatten"
