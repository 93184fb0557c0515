"""How an account is looked after, for pages."""

from __future__ import annotations

from django import template
from django.template import Context
from django.utils import timezone

from accounts.models import Account
from trading.selectors import guard

register = template.Library()


@register.simple_tag(takes_context=True)
def guard_of(context: Context, account: Account) -> guard.GuardView:
    """Return how an account is looked after now; as the page has read it already, if it has."""
    known: guard.GuardView | None = context.get("looked_after")
    return known or guard.guard_of(account, now=timezone.now())
