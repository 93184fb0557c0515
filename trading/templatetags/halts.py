"""The halt of an account, for the banner above its pages."""

from __future__ import annotations

from django import template

from accounts.models import Account
from trading.models import Halt
from trading.selectors.halts import halt_in_force

register = template.Library()


@register.simple_tag
def halt_of(account: Account) -> Halt | None:
    return halt_in_force(account)
