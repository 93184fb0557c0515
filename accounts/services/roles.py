"""What people may do: three groups and their permissions. More may be given, in the admin, to a person or a group."""

from __future__ import annotations

from typing import Final

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from accounts.models import Role, User
from accounts.services.audit import Actor, audit_write
from vibex.lib.events import publish_to_person_on_commit

PERMISSIONS: Final[dict[Role, tuple[str, ...]]] = {
    Role.VIEWER: (),
    Role.TRADER: ("trade",),
    Role.OPERATOR: ("trade", "trade_live", "resume_account", "view_any", "read_logs"),
}
"""By role, the permissions of the accounts app. Everybody may see what is their own, and end what runs on it."""


def roles_ensure(*, using: str = "default") -> None:
    """Make the three groups where they are missing, each with its permissions. What a person added stays."""
    known = {
        permission.codename: permission
        for permission in Permission.objects.using(using).filter(
            content_type__app_label="accounts", codename__in={each for names in PERMISSIONS.values() for each in names}
        )
    }
    for role, names in PERMISSIONS.items():
        group, made = Group.objects.using(using).get_or_create(name=role)
        if made or not group.permissions.exists():
            group.permissions.add(*[known[name] for name in names if name in known])


def role_set(*, user: User, role: Role, actor: Actor) -> None:
    """Give a person one of the three roles instead of the one they have; open streams are told at once."""
    with transaction.atomic():
        before = list(user.groups.filter(name__in=list(Role)).values_list("name", flat=True))
        user.groups.remove(*Group.objects.filter(name__in=list(Role)))
        user.groups.add(Group.objects.get_or_create(name=role)[0])
        audit_write(actor=actor, action="role-set", obj=user, before={"roles": before}, after={"roles": [role]})
        publish_to_person_on_commit(user_id=user.pk, kind="access")


def role_of(user: User) -> Role | None:
    """Return the highest role of a person; whoever may do everything is an operator. None for who has none."""
    if user.is_superuser:
        return Role.OPERATOR
    names = set(user.groups.values_list("name", flat=True))
    return next((role for role in reversed(Role) if role in names), None)


def rights_of(user: User) -> list[str]:
    """Return what a person may do besides seeing and ending what is their own, by name."""
    return [name for name in PERMISSIONS[Role.OPERATOR] if user.has_perm(f"accounts.{name}")]
