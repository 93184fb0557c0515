"""Who may do what is changed in the admin: by a confirmation, on record, told to open streams, and by nobody for themselves."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey, AuditEntry, Role, SignIn, User
from accounts.services.api_keys import api_key_create
from tests.support.access import confirmed
from tests.support.demo import person

pytestmark = pytest.mark.django_db
NEW = "another long sentence"


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    cache.clear()


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    return confirmed(client)


@pytest.fixture
def owner() -> User:
    return person("owner@vibex.local")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Return whom of what open streams are told."""
    events: list[tuple[int, str]] = []
    for module in ("accounts.people_admin", "accounts.services.roles", "accounts.services.sign_ins"):
        monkeypatch.setattr(
            f"{module}.publish_to_person_on_commit", lambda *, user_id, kind, **_: events.append((user_id, kind))
        )
    return events


def save(client: Client, user: User, **changes: Any) -> Any:
    form = {"email": user.email, "time_zone": "UTC", "is_active": "on", "role": "trader", **changes}
    return client.post(reverse("admin:accounts_user_change", args=[user.pk]), form)


def roles(user: User) -> set[str]:
    return set(user.groups.values_list("name", flat=True))


def test_a_role_is_given_instead_of_the_one_before_on_record_and_told(boss: Client, owner: User, told: Any) -> None:
    desk = Group.objects.create(name="desk")
    assert save(boss, owner, role="operator", groups=[desk.pk]).status_code == 302
    assert roles(owner) == {"operator", "desk"}
    entry = AuditEntry.objects.get(action="role-set")
    assert (entry.before, entry.after) == ({"roles": ["trader"]}, {"roles": ["operator"]})
    assert (owner.pk, "access") in told


def test_saving_without_a_change_changes_no_role_and_leaves_no_record(boss: Client, owner: User) -> None:
    assert save(boss, owner).status_code == 302
    assert roles(owner) == {"trader"}
    assert not AuditEntry.objects.filter(action__in=["role-set", "user-change"]).exists()


def test_a_role_is_taken_away_and_somebody_is_switched_off(boss: Client, owner: User, told: Any) -> None:
    form = {"email": owner.email, "time_zone": "UTC", "role": ""}
    assert boss.post(reverse("admin:accounts_user_change", args=[owner.pk]), form).status_code == 302
    assert roles(owner) == set()
    entry = AuditEntry.objects.get(action="user-change")
    assert (entry.before["is_active"], entry.after["is_active"]) == ("True", "False")
    assert (owner.pk, "access") in told


def test_who_was_switched_off_and_is_on_again_has_to_sign_in(boss: Client, owner: User) -> None:
    browser = Client()
    browser.force_login(owner)
    assert browser.get("/profile/").status_code == 200
    save(boss, owner, is_active="")
    save(boss, owner, is_active="on")
    owner.refresh_from_db()
    assert (owner.is_active, browser.get("/profile/").status_code) == (True, 302)


def test_a_new_person_looks_only_unless_more_is_chosen(boss: Client) -> None:
    page = boss.get(reverse("admin:accounts_user_add")).content.decode()
    assert '<option value="viewer" selected>' in page
    form = {"email": "new@vibex.local", "usable_password": "true", "password1": NEW, "password2": NEW, "role": "viewer"}
    assert boss.post(reverse("admin:accounts_user_add"), form).status_code == 302
    made = User.objects.get(email="new@vibex.local")
    assert roles(made) == {Role.VIEWER.value}
    record = AuditEntry.objects.get(action="user-create", object_id=str(made.pk))
    assert NEW not in str(record.after)


def test_people_are_changed_by_nobody_who_did_not_confirm_also_without_real_money(boss: Client, owner: User) -> None:
    SignIn.objects.update(confirmed=None)
    for answer in (
        save(boss, owner, role="operator"),
        boss.post(reverse("admin:auth_user_password_change", args=[owner.pk]), {}),
        boss.post(reverse("admin:auth_group_add"), {"name": "all"}),
    ):
        assert (answer.status_code, "Confirm that it is you" in answer.content.decode()) == (403, True)
    assert roles(owner) == {"trader"}


def test_a_password_that_is_set_for_somebody_ends_their_sign_ins(boss: Client, owner: User) -> None:
    browser = Client()
    browser.force_login(owner)
    browser.get("/profile/")
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    assert boss.post(reverse("admin:auth_user_password_change", args=[owner.pk]), form).status_code == 302
    assert SignIn.objects.get(user=owner).ended is not None
    assert browser.get("/profile/").status_code == 302
    assert AuditEntry.objects.filter(action="password-set", object_id=str(owner.pk)).exists()


def test_staff_that_may_change_people_gives_nobody_rights_and_touches_nobody_who_may_do_more(
    client: Client, owner: User
) -> None:
    clerk = person("clerk@vibex.local", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user", "change_group"]))
    chief = person("chief@vibex.local", is_staff=True, is_superuser=True)
    client.force_login(clerk)
    confirmed(client)
    assert save(client, clerk, role="operator", is_superuser="on", is_staff="on").status_code == 302
    clerk = User.objects.get(pk=clerk.pk)
    assert (clerk.is_superuser, roles(clerk)) == (False, {"trader"})
    assert save(client, chief, email="mine@vibex.local").status_code == 403
    assert client.post(reverse("admin:auth_user_password_change", args=[chief.pk]), {}).status_code == 403
    trader = Group.objects.get(name="trader")
    assert client.post(reverse("admin:auth_group_change", args=[trader.pk]), {"name": "trader"}).status_code == 403
    chief.refresh_from_db()
    assert chief.email == "chief@vibex.local"


@pytest.mark.parametrize("active", [True, False])
def test_staff_without_the_rights_of_a_person_touches_neither_password_nor_address(
    client: Client, active: bool
) -> None:
    clerk = person("clerk@vibex.local", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user"]))
    operator = person("operator@vibex.local", is_active=active)
    operator.groups.set([Group.objects.get(name="operator")])
    client.force_login(clerk)
    confirmed(client)
    before = operator.password
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    assert client.post(reverse("admin:auth_user_password_change", args=[operator.pk]), form).status_code == 403
    assert save(client, operator, email="mine@vibex.local").status_code == 403
    operator.refresh_from_db()
    assert (operator.password, operator.email) == (before, "operator@vibex.local")
    clerk.groups.add(Group.objects.get(name="operator"))
    assert client.post(reverse("admin:auth_user_password_change", args=[operator.pk]), form).status_code == 302


def test_a_password_that_is_set_for_somebody_shuts_what_their_keys_had_opened(boss: Client, owner: User) -> None:
    key, _ = api_key_create(user=owner, name="desk", scopes=["trade"], expires=None, actor=owner)
    ApiKey.objects.update(confirmed=timezone.now())
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    assert boss.post(reverse("admin:auth_user_password_change", args=[owner.pk]), form).status_code == 302
    key.refresh_from_db()
    assert key.confirmed is None


def test_who_sets_their_own_password_in_the_admin_stays_signed_in_here_only(boss: Client) -> None:
    user = User.objects.get(email="boss@vibex.local")
    other = Client()
    other.force_login(user)
    other.get("/profile/")
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    assert boss.post(reverse("admin:auth_user_password_change", args=[user.pk]), form).status_code == 302
    assert boss.get("/profile/").status_code == 200
    assert other.get("/profile/").status_code == 302
    assert SignIn.objects.filter(user=user, ended__isnull=True).count() == 1


def test_an_address_in_another_spelling_is_taken(boss: Client, owner: User) -> None:
    form = {
        "email": "OWNER@vibex.local",
        "usable_password": "true",
        "password1": NEW,
        "password2": NEW,
        "role": "viewer",
    }
    answer = boss.post(reverse("admin:accounts_user_add"), form)
    assert (answer.status_code, "This e-mail address is taken." in answer.content.decode()) == (200, True)
    other = person("other@vibex.local")
    assert "This e-mail address is taken." in save(boss, other, email="Owner@vibex.local").content.decode()
    assert User.objects.filter(email__iexact="owner@vibex.local").count() == 1
