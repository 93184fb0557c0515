"""Whether the events of an account are heard, for pages."""

from __future__ import annotations

from django import template
from django.utils import timezone

from accounts.models import Account
from trading.selectors import hearing

register = template.Library()


@register.simple_tag
def hearing_of(account: Account) -> hearing.Hearing | None:
    """Return how the events of an account are heard now; None for one on paper."""
    return hearing.hearing_of(account, now=timezone.now())
