"""Which rows are about a person: those that name them, and those that belong to their accounts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from django.apps import apps
from django.db.models import ForeignKey, Model, Q, QuerySet

from accounts.models import Account, AuditEntry, SignIn, User

OF_NOBODY: Final = frozenset({"marketdata", "contenttypes", "auth", "django_celery_beat"})
"""Apps whose tables are about markets, permissions and schedules."""


def tables() -> Iterator[type[Model]]:
    """Yield every table that can hold something about a person, many-to-many ones left out."""
    for model in apps.get_models():
        if model._meta.app_label not in OF_NOBODY:
            yield model


def rows_about(model: type[Model], user: User) -> QuerySet[Any] | None:
    """Return the rows of a table that are about a person, in the order of their keys; None when none can be."""
    if model is User:
        return User.objects.filter(pk=user.pk)
    found = Q(**dict.fromkeys(_named_in(model), user.pk), _connector=Q.OR)
    if (path := _owned_by(model)) is not None:
        found |= Q(**{path: user.pk})
    if model is AuditEntry:  # it names accounts by plain keys, and people among the objects
        mine = Account.objects.filter(owner=user).values("pk")
        found |= Q(account_id__in=mine) | objects_of(user)
    return model._default_manager.filter(found).order_by("pk") if found else None


def objects_of(user: User) -> Q:
    """Return which entries of the audit trail have the person, or a sign-in of theirs, as their object."""
    sign_ins = [str(key) for key in SignIn.objects.filter(user=user).values_list("pk", flat=True)]
    return Q(object_type="accounts.user", object_id=str(user.pk)) | Q(
        object_type="accounts.signin", object_id__in=sign_ins
    )


def _named_in(model: type[Model]) -> list[str]:
    return [field.attname for field in _keys(model) if field.related_model is User]


def _owned_by(model: type[Model]) -> str | None:
    """Return the shortest way from a row to the owner of the account it belongs to: order__account__owner_id."""
    ways, seen = deque([(model, "")]), {model}
    while ways:
        here, way = ways.popleft()
        if here is Account:
            return f"{way}owner_id"
        for field in _keys(here):
            there = field.related_model
            if there is not User and there not in seen:
                seen.add(there)
                ways.append((there, f"{way}{field.name}__"))
    return None


def _keys(model: type[Model]) -> list[ForeignKey[Any, Any]]:
    return [field for field in model._meta.concrete_fields if isinstance(field, ForeignKey)]
