"""What belongs to whom. Every face starts from these, so that nobody sees what is another's."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Case, CharField, F, Prefetch, Q, QuerySet, Value, When
from django.db.models.functions import Concat

from accounts.models import TESTNET, Account, Alert, AlertChannel, AlertDelivery, Bot, Incident, User

type Person = AbstractBaseUser | AnonymousUser


def accounts_of(person: Person) -> QuerySet[Account]:
    """Return the accounts that `person` owns; none for somebody who is not signed in."""
    return Account.objects.filter(owner_id=person.pk)


def accounts_seen_by(person: Person) -> QuerySet[Account]:
    """Return the accounts that `person` may see over the API: their own, and all others by permission as staff."""
    return Account.objects.all() if sees_any(person) else accounts_of(person)


def sees_any(person: Person) -> bool:
    """Tell whether `person` may see the accounts of others over the API."""
    return isinstance(person, User) and person.is_staff and person.has_perm("accounts.view_any")


def bots_of(person: Person) -> QuerySet[Bot]:
    """Return the bots on the accounts of `person`, each with its account."""
    return Bot.objects.filter(account__owner_id=person.pk).select_related("account")


def open_incidents(account: Account) -> QuerySet[Incident]:
    """Return what is wrong with `account` and not resolved, newest first."""
    return Incident.objects.filter(account=account, resolved__isnull=True)


def alerts_of(person: Person) -> QuerySet[Alert]:
    """Return what `person` was told, newest first, each with whom it concerns."""
    return Alert.objects.filter(user_id=person.pk or 0).select_related("account", "bot", "acknowledged_by")


def alerts_with_ways(alerts: QuerySet[Alert]) -> QuerySet[Alert]:
    """Return alerts with how each left, over which channel."""
    ways = AlertDelivery.objects.select_related("channel").order_by("pk")
    return alerts.prefetch_related(Prefetch("deliveries", ways))


def open_alerts(person: Person) -> QuerySet[Alert]:
    """Return what `person` was told and has not acknowledged."""
    return Alert.objects.filter(user_id=person.pk or 0, acknowledged__isnull=True)


def channels_of(person: Person) -> QuerySet[AlertChannel]:
    """Return the ways by which alerts reach `person`."""
    return AlertChannel.objects.filter(user_id=person.pk or 0).order_by("name")


def incidents_on(account: Account, symbols: Sequence[str]) -> list[tuple[str, str]]:
    """Return symbol and text of what is wrong with one of these symbols and not resolved, oldest first; warnings are not."""
    grave = [Incident.Severity.ERROR, Incident.Severity.CRITICAL]
    found = open_incidents(account).filter(severity__in=grave, data__subject__in=list(symbols)).order_by("opened", "pk")
    return [(incident.data["subject"], f"incident {incident.kind}: {incident.text.rstrip('.')}") for incident in found]


def on_market(market: str, *, of: str = "") -> Q:
    """Match accounts whose prices come from `market`; `of="account__"` matches rows that belong to such accounts."""
    testnet = market.endswith(TESTNET)
    network = Account.Network.TESTNET if testnet else Account.Network.MAINNET
    return Q(**{f"{of}venue": market.removesuffix(TESTNET), f"{of}network": network})


def market_name(*, of: str = "") -> Case:
    """Return `Account.market` as an expression; `of="account__"` for rows that belong to accounts."""
    testnet = Concat(f"{of}venue", Value(TESTNET))
    is_testnet = {f"{of}network": Account.Network.TESTNET}
    return Case(When(**is_testnet, then=testnet), default=F(f"{of}venue"), output_field=CharField())
