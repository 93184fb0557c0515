"""What belongs to whom. Every face starts from these, so that nobody sees what is another's."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from accounts.models import Account, Bot, Incident

type Person = AbstractBaseUser | AnonymousUser


def accounts_of(person: Person) -> QuerySet[Account]:
    """Return the accounts that `person` owns; none for somebody who is not signed in."""
    return Account.objects.filter(owner_id=person.pk)


def bots_of(person: Person) -> QuerySet[Bot]:
    """Return the bots on the accounts of `person`, each with its account."""
    return Bot.objects.filter(account__owner_id=person.pk).select_related("account")


def open_incidents(account: Account) -> QuerySet[Incident]:
    """Return what is wrong with `account` and not resolved, newest first."""
    return Incident.objects.filter(account=account, resolved__isnull=True)
