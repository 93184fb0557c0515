"""Changes of limits and accounts in the admin are checked and on record."""

from decimal import Decimal

import pytest
from django.urls import reverse

from accounts.models import Account, AuditEntry, Incident, User
from tests.support.access import confirmed
from tests.support.demo import PASSWORD, account_of, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client):
    user = person("boss@vibex.local", is_staff=True, is_superuser=True)
    client.force_login(user)
    client.user = user
    return confirmed(client)


def form_of(account, **changes):
    """Return what a browser would post for the account's page."""
    limits = account.limits
    names = [field.name for field in limits._meta.fields if field.name not in ("id", "account")]
    form = {f"limits-0-{name}": str(getattr(limits, name) or "") for name in names}
    form |= {
        "name": account.name,
        "time_zone": account.time_zone,
        "foreign_positions": account.foreign_positions,
        "limits-TOTAL_FORMS": "1",
        "limits-INITIAL_FORMS": "1",
        "limits-0-id": str(limits.pk),
        "limits-0-account": str(account.pk),
    }
    return form | changes


def change(client, account, **changes):
    return client.post(reverse("admin:accounts_account_change", args=[account.pk]), form_of(account, **changes))


def test_a_change_of_limits_is_on_record_with_before_and_after(boss):
    account = account_of(person())
    assert change(boss, account, **{"limits-0-max_leverage": "2"}).status_code == 302
    entry = AuditEntry.objects.get(action="limits-change")
    assert entry.actor == boss.user
    assert (entry.before["max_leverage"], entry.after["max_leverage"]) == (5, 2)


def test_saving_without_a_change_leaves_no_record(boss):
    account = account_of(person())
    assert change(boss, account).status_code == 302
    assert not AuditEntry.objects.filter(action="limits-change").exists()


@pytest.mark.parametrize(("name", "value"), [("max_leverage", "11"), ("risk_per_trade", "-1"), ("max_position", "x")])
def test_impossible_limits_are_refused(boss, name, value):
    account = account_of(person())
    assert change(boss, account, **{f"limits-0-{name}": value}).status_code == 200
    before = getattr(account.limits, name)
    account.limits.refresh_from_db()
    assert getattr(account.limits, name) == before


def test_a_new_account_gets_limits_even_when_they_are_left_as_they_are(boss):
    owner = person()
    form = {
        "name": "second", "owner": owner.pk, "venue": "sim", "mode": "paper", "network": "mainnet", "foreign_positions": "adopt", "starting_balance": "500", "time_zone": "UTC",
        "limits-TOTAL_FORMS": "1", "limits-INITIAL_FORMS": "0",
    }  # fmt: skip
    page = boss.get(reverse("admin:accounts_account_add"))
    inline = page.context["inline_admin_formsets"][0].formset.forms[0]
    form |= {
        f"limits-0-{name}": str(field.initial) for name, field in inline.fields.items() if field.initial is not None
    }
    answer = boss.post(reverse("admin:accounts_account_add"), form)
    assert answer.status_code == 302, answer.context["errors"]
    account = Account.objects.get(name="second")
    assert account.mode == "paper"
    assert account.limits.risk_per_trade == Decimal("0.01")
    assert AuditEntry.objects.filter(action="account-create").count() == 1


def test_what_is_fixed_once_made_cannot_be_changed(boss):
    account = account_of(person())
    change(boss, account, venue="aster", starting_balance="1", mode="live", state="halted")
    account.refresh_from_db()
    assert (account.venue, account.starting_balance, account.mode, account.state) == ("sim", 10_000, "paper", "active")


def test_a_person_is_made_by_e_mail_and_can_sign_in(boss, client):
    form = {
        "email": "New@Vibex.local",
        "role": "viewer",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    assert boss.post(reverse("admin:accounts_user_add"), form).status_code == 302
    client.logout()
    assert client.login(email="new@vibex.local", password=PASSWORD)


def test_no_password_is_shown_or_kept_on_record(boss):
    page = boss.get(reverse("admin:accounts_user_change", args=[boss.user.pk])).content.decode()
    assert User.objects.get(pk=boss.user.pk).password not in page
    assert not AuditEntry.objects.filter(after__has_key="password1").exists()


def test_an_incident_is_resolved_from_the_list(boss):
    incident = Incident.objects.create(account=account_of(person()), kind="gap", text="A candle is missing.")
    form = {"action": "resolve", "_selected_action": [incident.pk]}
    boss.post(reverse("admin:accounts_incident_changelist"), form)
    incident.refresh_from_db()
    assert incident.resolved is not None
    assert AuditEntry.objects.filter(action="incident-resolve", actor=boss.user).exists()
