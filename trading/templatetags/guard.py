"""How an account is looked after, for pages."""

from __future__ import annotations

from django import template
from django.utils import timezone

from accounts.models import Account
from trading.selectors import guard

register = template.Library()


@register.simple_tag
def guard_of(account: Account) -> guard.GuardView:
    """Return how an account is looked after now."""
    return guard.guard_of(account, now=timezone.now())
