"""The halt of an account, for the banner above its pages."""

from __future__ import annotations

from django import template
from django.template import Context

from accounts.models import Account
from trading.models import Halt
from trading.selectors.halts import halt_in_force

register = template.Library()


@register.simple_tag(takes_context=True)
def halt_of(context: Context, account: Account) -> Halt | None:
    """Return the halt in force; as the page has read it already, if it has."""
    known: Halt | None = context.get("halt_in_force")
    return known or halt_in_force(account)
