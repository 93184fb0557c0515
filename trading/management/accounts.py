"""How commands are told which account is meant."""

from __future__ import annotations

from django.core.management.base import CommandError

from accounts.models import Account


def account_found(text: str) -> Account:
    """Return the account of an id or a name. Raises CommandError that says which there are."""
    accounts = Account.objects.select_related("limits", "owner").order_by("pk")
    found = list(accounts.filter(name=text))
    if text.isdecimal() and not found:
        found = list(accounts.filter(pk=int(text)))
    if not found:
        known = ", ".join(f"{one.pk} ({one.name})" for one in accounts) or "none: `manage.py up` makes the first one"
        raise CommandError(f"there is no account {text!r}; there are: {known}")
    if len(found) > 1:
        which = ", ".join(f"{one.pk} ({one.badge}, of {one.owner})" for one in found)
        raise CommandError(f"several accounts are called {text!r}: use an id, {which}")
    return found[0]
